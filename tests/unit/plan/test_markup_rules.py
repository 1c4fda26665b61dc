import time

import pytest

from shared.errors import InvalidInput, InvalidMarkup, NothingToSpeak
from shared.markup import (
    MAX_CHAPTERS,
    MAX_VOICES,
    Contents,
    Mark,
    check_input,
    cut_mark,
    find_marks,
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t ",
        "😀😀",
        "…!?",
        "*** — ***",
        "[pause:1s]",
        "😀 [pause:500ms] !",
        "👩‍👩‍👧",
        "\ufeff",
    ],
)
def test_input_without_a_letter_or_number_is_nothing_to_speak(text: str) -> None:
    with pytest.raises(NothingToSpeak):
        check_input(text)


@pytest.mark.parametrize(
    "text",
    ["a", "7", "½", "你", "।क", "\ufeffHello", "[.](/hɛlˈO/)", "a\tb\r\nc\fd\x85e", "[pause:1s]x"],
)
def test_one_letter_number_or_phoneme_mark_is_enough(text: str) -> None:
    check_input(text)


@pytest.mark.parametrize("bad", ["\x00", "\x1b", "\x7f", "\x9f", "\x0b"])
def test_a_control_character_is_refused_by_its_position(bad: str) -> None:
    with pytest.raises(InvalidInput, match="at character 5") as refused:
        check_input(f"Hello{bad}")
    assert refused.value.param == "input"


def test_a_lone_surrogate_is_refused_by_its_position() -> None:
    with pytest.raises(InvalidInput, match=r"lone surrogate \(U\+D83D\) at character 2"):
        check_input("Hi\ud83d")


@pytest.mark.parametrize(
    ("mark", "pause_s"),
    [("1.5s", 1.5), ("500ms", 0.5), (" 2 s ", 2.0), (".25S", 0.25), ("600s", 600.0)],
)
def test_a_pause_says_its_length_in_seconds_or_milliseconds(mark: str, pause_s: float) -> None:
    text = f"a[pause:{mark}]b"
    assert list(find_marks(text)) == [Mark(1, len(text) - 1, pause_s=pause_s)]


@pytest.mark.parametrize(
    "mark",
    ["[pause:]", "[pause:5]", "[pause:0s]", "[pause:-1s]", "[pause:601s]", "[pause:1s"],
)
def test_a_malformed_pause_is_refused(mark: str) -> None:
    with pytest.raises(InvalidMarkup, match="at character 6"):
        check_input(f"Hello {mark} you")


def test_a_phoneme_mark_is_told_from_a_link() -> None:
    text = "[Kokoro](/kˈOkəɹO/) and [docs](https://x.org/a/) and [a](b) and [c](/d)"
    assert list(find_marks(text)) == [Mark(0, 19, word="Kokoro", phonemes="kˈOkəɹO")]


@pytest.mark.parametrize("mark", ["[a](//)", f"[a](/{'b' * 511}/)", f"[{'a' * 201}](/b/)"])
def test_a_phoneme_mark_that_fits_no_segment_is_refused(mark: str) -> None:
    with pytest.raises(InvalidMarkup):
        check_input(mark)


@pytest.mark.parametrize("unit", ["word ", "[", "[a](/", "[a](", " ", "😀", "]", "/)"])
def test_two_million_characters_are_checked_in_a_blink(unit: str) -> None:
    text = unit * (2_000_000 // len(unit)) + "a"
    began = time.perf_counter()
    check_input(text)
    assert time.perf_counter() - began < 1.0


def test_a_voice_and_a_chapter_are_marks_with_a_name() -> None:
    text = "[chapter: Über  allem ]\n[Voice:af_bella(2)+af_sky]Hi."
    assert list(find_marks(text)) == [
        Mark(0, 23, chapter="Über  allem"),
        Mark(24, 50, voice="af_bella(2)+af_sky"),
    ]


@pytest.mark.parametrize(
    "mark",
    [
        *("[voice:]", "[voice: ]", "[voice:am_adam", "[voice:am_adam\n]", "[voice:[am_adam]]"),
        *("[voice:am adam]", "[voice:am_adam+am_adam]", "[voice:am_adam(0)]", "[voice:+]"),
        f"[voice:{'a' * 701}]",
        *("[chapter:]", "[chapter:\t]", "[chapter:One", "[chapter:One\nTwo]"),
        f"[chapter:{'a' * 201}]",
    ],
)
def test_a_malformed_voice_or_chapter_is_refused_by_its_position(mark: str) -> None:
    with pytest.raises(InvalidMarkup, match="at character 6"):
        check_input(f"Hello {mark} you")


def test_an_input_tells_its_voices_once_each_and_counts_its_chapters() -> None:
    text = "[chapter:a][voice:x]Hi[voice:y]ho[chapter:b][voice:x]hey"
    assert check_input(text) == Contents(("x", "y"), 2)
    assert check_input("Plain.") == Contents()


def test_an_input_has_so_many_chapters_and_voices_and_no_more() -> None:
    check_input("[chapter:a]x" * MAX_CHAPTERS + "".join(f"[voice:v{n}]" for n in range(MAX_VOICES)))
    for text in (
        "[chapter:a]x" * (MAX_CHAPTERS + 1),
        "".join(f"[voice:v{n}]x" for n in range(MAX_VOICES + 1)),
    ):
        with pytest.raises(InvalidMarkup, match=f"character {text.rindex('[')} is one too many"):
            check_input(text)


def test_a_name_in_a_mark_is_nothing_to_speak() -> None:
    with pytest.raises(NothingToSpeak):
        check_input("[chapter:A title][voice:am_adam]…")


def test_brackets_in_phonemes_are_no_mark_so_that_no_mark_holds_another() -> None:
    assert list(find_marks("[a](/x[voice:am_adam]y/)")) == [Mark(6, 21, voice="am_adam")]


@pytest.mark.parametrize("mark", ["[pause:1.5s]", "[voice:am_adam]", "[chapter:One]", "[a](/b/)"])
def test_a_mark_that_is_cut_is_told_from_one_that_is_whole(mark: str) -> None:
    for length in range(1, mark.index("]") + 1):
        assert cut_mark(f"One [two] {mark[:length]}") == len("One [two] ")
    assert cut_mark(f"One {mark}") == len(f"One {mark}")
    assert cut_mark("[" + "a" * 1000) == 1001  # longer than any mark
