import pytest

from worker.plan.paragraphs import paragraphs


def split(text: str, *, at_line_start: bool = True) -> list[str]:
    found = paragraphs(text, at_line_start=at_line_start, final=True)
    return [text[p.start : p.end] for p in found]


def test_a_blank_line_always_parts() -> None:
    assert split("one,\n\ntwo\r\n \r\nthree") == ["one,", "two", "three"]


def test_a_line_end_before_a_small_letter_is_a_soft_wrap() -> None:
    assert split("The quick brown fox\njumps over the dog.") == [
        "The quick brown fox\njumps over the dog."
    ]


def test_a_line_of_wrapped_prose_is_joined_even_at_a_sentence_end() -> None:
    prose = (
        "It was the best of times, it was the worst of times, it was the age.\n"
        "It was the season of Light, it was the season of Darkness, it was the\nSpring of hope."
    )
    assert split(prose) == [prose]


@pytest.mark.parametrize(
    "text",
    [
        "Whose woods these are I think I know.\nHis house is in the village though;",
        "“Hello,” he said.\n“Good day.”",
        "- milk\n- bread",
        "1. milk\n2. bread",
        "Chapter One\nIt was a dark night.",
        f"{'A long line that is a paragraph by itself. ' * 5}\nAnother one.",
    ],
)
def test_verse_dialogue_lists_headings_and_paragraphs_of_one_line_are_parted(text: str) -> None:
    first, second = text.split("\n")
    assert split(text) == [first.strip(), second]


def test_a_line_begun_in_an_earlier_window_counts_as_long() -> None:
    text = "the worst of times.\nIt was the age."
    assert split(text, at_line_start=False) == [text]
    assert len(split(text)) == 2


def test_the_last_paragraph_of_a_window_is_open() -> None:
    text = "One.\n\nTwo is longer than the look ahead.\n\nThr"
    found = list(paragraphs(text, at_line_start=True, final=False))
    assert [(text[p.start : p.end], p.closed) for p in found] == [
        ("One.", True),
        ("Two is longer than the look ahead.\n\nThr", False),
    ]


def test_white_space_alone_has_no_paragraph() -> None:
    assert split(" \n\n\t ") == []
