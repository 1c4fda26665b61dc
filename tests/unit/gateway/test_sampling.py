"""Stretches that stand for a long text."""

import itertools

from gateway.sampling import SAMPLED_ABOVE_CHARS, stretches


def test_a_short_text_is_taken_whole() -> None:
    text = "x" * SAMPLED_ABOVE_CHARS
    assert stretches(text) == ([text], False)


def test_a_long_text_is_sampled_from_its_beginning_to_its_end_at_words() -> None:
    text = " ".join(f"w{n}" for n in range(200_000))
    found, sampled = stretches(text)
    assert sampled
    assert sum(map(len, found)) <= SAMPLED_ABOVE_CHARS
    assert sum(map(len, found)) > SAMPLED_ABOVE_CHARS / 2
    assert text.startswith(found[0])
    assert text.endswith(found[-1])
    assert all(stretch.startswith("w") and stretch in text for stretch in found)
    places = [text.index(stretch) for stretch in found]
    gaps = [b - a for a, b in itertools.pairwise(places)]
    assert max(gaps) < 1.01 * min(gaps)


def test_a_text_without_blanks_is_sampled_all_the_same() -> None:
    found, sampled = stretches("x" * 500_000)
    assert sampled
    assert len(found) == 10
