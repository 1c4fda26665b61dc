"""Stretches that stand for a long text."""

import itertools

from gateway.sampling import SAMPLED_ABOVE_CHARS, sample
from shared.markup import find_marks


def test_a_short_text_is_taken_whole() -> None:
    text = "x" * SAMPLED_ABOVE_CHARS
    found = sample(text)
    assert (found.texts, found.voices, found.whole) == ([text], [""], True)


def test_a_long_text_is_sampled_from_its_beginning_to_its_end_at_words() -> None:
    text = " ".join(f"w{n}" for n in range(200_000))
    sampled = sample(text)
    assert not sampled.whole
    found = sampled.texts
    assert sum(map(len, found)) <= SAMPLED_ABOVE_CHARS
    assert sum(map(len, found)) > SAMPLED_ABOVE_CHARS / 2
    assert text.startswith(found[0])
    assert text.endswith(found[-1])
    assert all(stretch.startswith("w") and stretch in text for stretch in found)
    places = [text.index(stretch) for stretch in found]
    gaps = [b - a for a, b in itertools.pairwise(places)]
    assert max(gaps) < 1.01 * min(gaps)


def test_a_text_without_blanks_is_sampled_all_the_same() -> None:
    sampled = sample("x" * 500_000)
    assert not sampled.whole
    assert len(sampled.texts) == 10


def test_no_mark_is_cut_in_two_and_each_stretch_is_in_its_voice() -> None:
    marks = ["[pause:1.25s]", "[voice:am_adam]", "[the word](/wˈɜɹd/)", "[voice:bf_emma]"]
    text = "".join(f"{marks[n % 4]}x{n}" for n in range(40_000))
    found = sample(text)
    assert not found.whole
    at = 0
    for stretch, voice in zip(found.texts, found.voices, strict=True):
        at = text.index(stretch, at)
        list(find_marks(stretch))
        assert stretch.count("[") == stretch.count("]")
        before = [mark.voice for mark in find_marks(text[:at]) if mark.voice]
        assert voice == (before[-1] if before else "")
    assert found.pauses == 10_000
    assert found.pause_s == 12_500


def test_chapters_are_all_counted() -> None:
    text = "\n\n".join(f"[chapter:Number {n}]\n\n{'word ' * 300}" for n in range(100))
    assert sample(text).chapters == 100
