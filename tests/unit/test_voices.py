"""Voices and mixes as clients write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInput, UnknownVoice
from shared.voices import VoiceMix, parse_voice


def test_weights_sum_to_one_whatever_their_order() -> None:
    mix = parse_voice("af_sky(1)+af_bella(2)")
    assert mix == parse_voice("af_bella(4) + af_sky(2)")
    assert sum(weight for _, weight in mix.parts) == pytest.approx(1)
    assert mix.main == "af_bella"


@given(st.lists(st.floats(0.001, 9999), min_size=1, max_size=8))
def test_a_mix_can_be_read_back_from_its_text(weights: list[float]) -> None:
    total = sum(weights)
    mix = VoiceMix(tuple((f"v{i}", weight / total) for i, weight in enumerate(weights)))
    again = parse_voice(str(mix))
    for (name, weight), (same, other) in zip(mix.parts, again.parts, strict=True):
        assert name == same
        assert weight == pytest.approx(other, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["", "+", "a+", "a(0)", "a(-1)", "a(nan)", "a(1e3)", "a b", "a+a", "a(", "../a"]
)
def test_what_is_no_voice_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_voice(text)


def test_a_mix_of_too_many_voices_is_refused() -> None:
    with pytest.raises(InvalidInput):
        parse_voice("+".join(f"v{i}" for i in range(9)))


def test_a_voice_that_is_not_loaded_is_named() -> None:
    with pytest.raises(UnknownVoice, match="af_nobody"):
        parse_voice("af_heart+af_nobody").fingerprint({"af_heart": "0"})
