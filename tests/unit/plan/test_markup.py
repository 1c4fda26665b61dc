import pytest

from shared.languages import Language
from worker.plan.markup import Override, Silence, SpokenText, resolve

ENGLISH = Language.AMERICAN_ENGLISH


def only(text: str, language: Language = ENGLISH) -> SpokenText:
    (spoken,) = resolve(text, offset=0, language=language)
    assert isinstance(spoken, SpokenText)
    return spoken


def test_plain_text_is_spoken_as_it_stands() -> None:
    spoken = only("Hello, world.")
    assert spoken.text == "Hello, world."
    assert list(spoken.starts) == list(range(13))
    assert list(spoken.ends) == list(range(1, 14))


def test_a_phoneme_mark_leaves_its_word_and_spans_the_whole_mark() -> None:
    spoken = only("Say [Kokoro](/kˈOkəɹO/) now")
    assert spoken.text == "Say Kokoro now"
    assert spoken.overrides == (Override(4, 10, "kˈOkəɹO"),)
    assert (spoken.starts[4], spoken.ends[9]) == (4, 23)
    assert (spoken.starts[10], spoken.ends[10]) == (23, 24)


def test_a_pause_parts_the_text_at_its_place_in_the_input() -> None:
    parts = list(resolve("One[pause:1.5s]two", offset=100, language=ENGLISH))
    assert parts[1] == Silence(103, 115, 1.5)
    assert isinstance(parts[2], SpokenText)
    assert (parts[2].text, parts[2].starts[0]) == ("two", 115)


def test_emoji_part_words_and_joiners_part_nothing() -> None:
    assert only("hi😀there").text == "hi there"
    assert only("so 👩\u200d👩\u200d👧 nice").text == "so nice"
    assert only("co\u00adop\u200berate\ufeff").text == "cooperate"


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n  "])
def test_a_soft_wrap_is_a_space(end: str) -> None:
    assert only(f"one{end}two").text == "one two"


def test_a_soft_wrap_between_wide_characters_is_nothing() -> None:
    assert only("今日は\n良い天気", Language.JAPANESE).text == "今日は良い天気"
    assert only("我用\niPhone", Language.MANDARIN).text == "我用iPhone"
    assert only("one\ntwo", Language.MANDARIN).text == "one two"


def test_only_english_knows_misakis_stress_and_number_marks() -> None:
    text = "[really](+2) [1950](#n#) [docs](https://x.org)"
    english = only(text)
    assert english.text == "really 1950 [docs](https://x.org)"
    assert english.overrides == (Override(0, 6, stress=2.0), Override(7, 11, number_style="n"))
    assert only(text, Language.FRENCH).text == text


def test_a_cut_drops_white_space_and_keeps_the_way_back() -> None:
    cut = only("One. [Two](/tˈu/) ").cut(4, 9)
    assert cut.text == "Two"
    assert (cut.starts[0], cut.ends[-1]) == (5, 17)
    assert cut.overrides == (Override(0, 3, "tˈu"),)
