import time

import pytest

from shared.errors import InvalidInput, InvalidMarkup, NothingToSpeak
from shared.markup import Mark, check_input, find_marks


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
