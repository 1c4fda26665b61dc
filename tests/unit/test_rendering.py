"""How much a synth worker takes on at a time, and how long it may take."""

from types import SimpleNamespace
from typing import Any

import pytest

from shared.languages import Language
from shared.ledger.messages import SegmentClaim, SegmentPayload
from shared.settings import Settings
from worker.rendering import Rendering, minutes_of_speech


def claim(phonemes: int, speed: float = 1.0) -> SegmentClaim:
    payload = SegmentPayload(
        "a" * phonemes, "a", Language.AMERICAN_ENGLISH, "af_heart", speed, 1, "h", "e"
    )
    return SegmentClaim("job_1", 0, 1, payload, 1)


def rendering(batch_max: int, batch_most: int) -> Rendering:
    parts: dict[str, Any] = dict.fromkeys(("ledger", "storage", "note"))
    engine: Any = SimpleNamespace(batch_most=batch_most)
    return Rendering(settings=Settings(batch_max=batch_max), engine=engine, **parts)


def test_a_batch_is_no_larger_than_the_engine_or_the_operator_wants() -> None:
    assert rendering(8, 1).batch_most == 1
    assert rendering(8, 64).batch_most == 8


def test_the_time_to_render_grows_with_the_speech_to_be_made() -> None:
    assert minutes_of_speech([claim(10)]) == 1
    assert minutes_of_speech([claim(510)] * 8) == pytest.approx(4)
    assert minutes_of_speech([claim(510, speed=0.25)]) == pytest.approx(2)


def test_no_batch_outlasts_celerys_last_resort() -> None:
    settings = Settings()
    longest = minutes_of_speech([claim(510, speed=0.25)] * settings.batch_max)
    assert settings.render_timeout_s * longest < settings.render_budget_s
