"""The texts that benchmarks speak: whole, sourced, free, and the same every time."""

import unicodedata

from benchmarks.corpus import FOLDER, Length, describe, mixed, select, sources, texts
from shared.languages import Language, language_of_voice
from worker.engines.facts import voice_names


def test_every_text_is_nfc_and_says_where_it_is_from() -> None:
    assert {path.stem for path in (FOLDER / "texts").iterdir()} == {s.name for s in sources()}
    for source in sources():
        text = source.read()
        assert text, source.name
        assert unicodedata.is_normalized("NFC", text), source.name
        assert not any(ch in text for ch in "_�\r\t"), source.name
        assert source.title and source.author and source.taken_from
        assert language_of_voice(source.voice) is source.language
        assert source.voice in voice_names()


def test_every_text_is_out_of_copyright() -> None:
    for source in sources():
        # Life and 70 years; in the US 95 years, or never restored (see the list for the one).
        assert source.died <= 2026 - 71, source.name
        assert source.published <= 2026 - 96 or source.name == "hi-eidgah", source.name


def test_every_language_has_short_and_medium_texts_and_english_a_chapter() -> None:
    for language in Language:
        for length in (Length.SHORT, Length.MEDIUM):
            assert select(length=length, languages=[language]), (language, length)
    (chapter,) = select(length=Length.LONG)
    assert 18_000 < len(chapter.text) < 22_000
    bodies = [text.text for text in texts()]
    assert len(bodies) == len(set(bodies))


def test_a_mix_is_the_same_each_time_and_keeps_its_shares() -> None:
    first, again, other = mixed(200), mixed(200), mixed(200, seed=1)
    assert first == again
    assert first != other
    assert sum(text.length is Length.LONG for text in first) == 2
    assert sum(text.length is Length.SHORT for text in first) == 120
    assert {text.language for text in first} == set(Language)
    assert "200 texts" in describe(first)


def test_a_mix_of_a_language_without_chapters_is_still_full() -> None:
    chosen = mixed(50, languages=[Language.HINDI])
    assert len(chosen) == 50
    assert {text.language for text in chosen} == {Language.HINDI}
