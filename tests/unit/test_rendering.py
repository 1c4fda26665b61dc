"""How much a synth worker takes on at a time, and how long it may take."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.errors import OutOfDeviceMemory
from shared.languages import Language
from shared.ledger.messages import SegmentClaim, SegmentPayload
from shared.settings import Settings
from worker.device_batch import Work
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


class Cramped:
    """An engine with room for so many segments, which remembers what it was asked for."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.asked: list[int] = []

    def forward(self, inputs: Sequence[int]) -> list[int]:
        self.asked.append(len(inputs))
        if len(inputs) > self.room:
            raise OutOfDeviceMemory(f"No room for {len(inputs)}.")
        return [10 * one for one in inputs]


def render_all(room: int) -> list[int]:
    """Render eight segments in order; return the sizes of the batches tried."""
    parts: dict[str, Any] = dict.fromkeys(("ledger", "storage"))
    engine: Any = Cramped(room)
    note: Any = SimpleNamespace(begin=lambda *_, **__: None, done=lambda: None)
    inputs: Any = list(range(8))
    worker = Rendering(settings=Settings(), engine=engine, note=note, **parts)
    batch = worker.render(Work([claim(5)] * 8, inputs, None, None))
    if room:
        assert batch.error is None
        assert batch.audios == [10 * one for one in inputs]
    else:
        assert isinstance(batch.error, OutOfDeviceMemory)
    return list(engine.asked)


def test_a_batch_without_room_is_halved_twice_and_then_rendered_one_by_one() -> None:
    assert render_all(8) == [8]
    assert render_all(4) == [8, 4, 4]
    assert render_all(2) == [8, 4, 2, 2, 4, 2, 2]
    assert render_all(1) == [8, *[4, *[2, 1, 1] * 2] * 2]


def test_a_segment_without_room_even_alone_fails_its_batch() -> None:
    assert render_all(0) == [8, 4, 2, 1]


class HungUp:
    """A beginning whose connection Redis closes before its answer; asked again it has one."""

    def __init__(self, ours: list[SegmentClaim]) -> None:
        self._ours = ours
        self.asked = 0

    def send(self) -> None:
        """Be sent."""

    def ours(self) -> list[SegmentClaim]:
        self.asked += 1
        if self.asked == 1:
            raise RedisConnectionError("Connection closed by server.")
        return self._ours


@pytest.mark.parametrize("ours", [True, False])
def test_whether_a_suspect_may_begin_is_asked_again_where_redis_hung_up(ours: bool) -> None:
    suspect = replace(claim(5), attempt=2, solo=True)
    beginning: Any = HungUp([suspect] if ours else [])
    work = Work([suspect], [], None, beginning)
    assert rendering(8, 8).begin(work) is ours
    assert beginning.asked == 2
