"""The soak's verdict: what grows is caught, and what only wavers is not."""

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.samples import WARM_UP_S, Growth, Sample, growths
from tests.faults.soak import Soak, plot

Shape = Callable[[float], float]
NOISE = random.Random(1)


def samples(shape: Shape, *, lives_s: tuple[float, ...] = (300.0,)) -> list[Sample]:
    """Return a sample a second of processes that live one after another."""
    found, at_s = [], 0.0
    for pid, life_s in enumerate(lives_s):
        for age_s in range(int(life_s)):
            values = {"memory_mib": shape(age_s)}
            found.append(Sample(at_s, "synth child", pid, float(age_s), values))
            at_s += 1
    return found


def memory(found: list[Growth]) -> Growth:
    (growth,) = found
    return growth


def test_a_process_that_grows_by_six_mib_a_minute_leaks() -> None:
    growth = memory(growths(samples(lambda s: 100 + s / 10 + NOISE.gauss(0, 2))))
    assert growth.leaks
    assert growth.per_min == pytest.approx(6, abs=0.5)


def test_a_leak_is_seen_though_each_process_is_killed_before_long() -> None:
    growth = memory(growths(samples(lambda s: 100 + s / 10, lives_s=(60.0, 70.0, 55.0, 80.0))))
    assert growth.leaks
    assert growth.processes == 4


@pytest.mark.parametrize(
    "shape",
    [
        lambda s: 100 + NOISE.gauss(0, 5),
        lambda s: 100 + 20 * math.sin(s / 7),
        lambda s: min(100 + 10 * s, 100 + 10 * WARM_UP_S),
        lambda s: 100 - s / 20,
        lambda s: 100 + s / 120,
    ],
    ids=["noise", "waves", "warming up", "shrinking", "half a MiB a minute"],
)
def test_what_wavers_or_warms_up_does_not_leak(shape: Shape) -> None:
    assert not memory(growths(samples(shape))).leaks


def test_processes_of_different_sizes_are_no_growth() -> None:
    first = samples(lambda _: 100.0)
    second = [Sample(s.at_s + 300, s.role, 7, s.age_s, {"memory_mib": 200.0}) for s in first]
    growth = memory(growths(first + second))
    assert growth.per_min == 0
    assert not growth.leaks


def test_a_process_seen_for_moments_is_not_judged() -> None:
    assert growths(samples(lambda s: 100 + s, lives_s=(WARM_UP_S + 10,))) == []


@pytest.mark.slow
@pytest.mark.timeout(900)  # it may wait for its turn
@pytest.mark.usefixtures("one_at_a_time")
def test_a_soak_of_an_engine_that_leaks_says_so_and_loses_nothing(tmp_path: Path) -> None:
    soak = Soak(tmp_path / "soak", seed=1, minutes=1.2, leak_kib=512, kill=False)
    soak.run()
    assert any(line.startswith("leak: synth child: memory_mib") for line in soak.broken)
    lost = [line for line in soak.broken if not line.startswith("leak: ")]
    assert lost == []
    assert soak.verdict is not None
    assert soak.verdict.accepted > 10
    plot(soak, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
