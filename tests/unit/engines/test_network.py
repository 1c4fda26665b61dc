"""The batched forward equals upstream's batch 1, item by item."""

import dataclasses
import statistics
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.upstream import (
    Rendering,
    Upstream,
    heard_harmonics,
    load_kmodel,
    load_network,
    relative_rms,
    render,
)
from shared.voices import parse_voice
from worker.engines.checkpoint import TINY_VOICES, write_checkpoint
from worker.engines.facts import FRAME_SAMPLES
from worker.engines.network.network import Network
from worker.engines.runner import Prepared
from worker.engines.voicepacks import VoicePacks

EXACT = 1e-9
"""Relative RMS in float64: what the phase's sum over some ten seconds leaves of 1e-16."""
FRAMES = 130
"""About as many as an example's batch may hold, padding counted: it takes a second or two."""
FRAMES_PER_TOKEN = 3.0
ITEMS_MOST, TOKENS_MOST = 5, 120


@dataclasses.dataclass(frozen=True)
class Case:
    """An item as Hypothesis prints it."""

    length: int
    voice: str
    speed: float
    seed: int


@dataclasses.dataclass(frozen=True)
class Pair:
    """Upstream and ours, with the same weights, and what turns a case into an item."""

    upstream: Upstream
    network: Network
    voices: VoicePacks

    def item(self, case: Case) -> Prepared:
        chance = torch.Generator().manual_seed(case.seed % 2**31 + case.length)
        ids = torch.randint(1, 170, (case.length,), generator=chance).tolist()
        style = self.voices.row(parse_voice(case.voice), case.length).squeeze(0)
        return Prepared((0, *ids, 0), style, case.speed, case.seed)


def load_pair(folder: Path, dtype: torch.dtype) -> Pair:
    upstream = Upstream(load_kmodel(folder), dtype)
    return Pair(upstream, load_network(folder, dtype), VoicePacks(folder / "voices", "cpu"))


@pytest.fixture(scope="module")
def pair(tiny_checkpoint: Path) -> Pair:
    return load_pair(tiny_checkpoint, torch.float32)


@pytest.fixture(scope="module")
def pair64(tiny_checkpoint: Path) -> Pair:
    return load_pair(tiny_checkpoint, torch.float64)


@contextmanager
def in_float64() -> Iterator[None]:
    """Upstream makes some of its constants in torch's default type."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@st.composite
def batches(draw: st.DrawFn, most: int = ITEMS_MOST) -> list[Case]:
    """Items of any length, voice and speed, so short in all that upstream is soon done."""
    size = draw(st.integers(1, most))
    frames = FRAMES / size
    cases = []
    for _ in range(size):
        speed = draw(st.floats(0.25, 4))
        # No token is shorter than a frame.
        longest = frames / max(1, FRAMES_PER_TOKEN / speed) - 2
        length = draw(st.integers(1, int(min(max(longest, 1), TOKENS_MOST))))
        voice = draw(st.sampled_from(TINY_VOICES))
        cases.append(Case(length, voice, speed, draw(st.integers(0, 2**63 - 1))))
    return cases


@dataclasses.dataclass(frozen=True)
class Batch:
    """A batch, and the same items again in another company."""

    cases: list[Case]
    extra: int
    again: list[Case]
    extra_again: int


@st.composite
def twice(draw: st.DrawFn) -> Batch:
    cases = draw(batches())
    company = cases[: draw(st.integers(1, len(cases)))] + draw(batches(1))
    return Batch(
        cases, draw(st.integers(0, 9)), draw(st.permutations(company)), draw(st.integers(0, 9))
    )


MOSTLY_PADDING = Batch(
    # 3 of 32 tokens, and about as few of the frames: more than 90 % of the second is padding.
    cases=[Case(30, "af_heart", 1.0, 1), Case(1, "bf_emma", 2.5, 2)],
    extra=0,
    again=[Case(1, "bf_emma", 2.5, 2)],
    extra_again=3,
)


def check(samples: Tensor, durations: Tensor, expected: Rendering, *, within: float) -> None:
    """Check one row of a batch: durations, samples, and silence in the padding."""
    tokens, heard = len(expected.durations), len(expected.samples)
    assert durations[:tokens].tolist() == expected.durations.tolist()
    assert not durations[tokens:].any()
    assert relative_rms(samples[:heard], expected.samples) <= within
    assert not samples[heard:].any()


# No shrinking, for a forward costs a second; the blob that is printed gives the case back.
@settings(
    max_examples=5,
    deadline=None,
    database=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.generate),
)
@given(batch=twice())
@example(batch=MOSTLY_PADDING)
def test_in_float64_each_item_equals_upstream_whatever_its_company(
    pair64: Pair, batch: Batch
) -> None:
    items = {case: pair64.item(case) for case in (*batch.cases, *batch.again)}
    with in_float64():
        # What stands in the padding's noise is never heard: not even what is no number.
        rows, durations, _ = render(
            pair64.network,
            [items[case] for case in batch.cases],
            extra=batch.extra,
            rubbish=float("nan"),
        )
        known = {}
        for i, case in enumerate(batch.cases):
            known[case] = pair64.upstream(items[case])
            check(rows[i], durations[i], known[case], within=EXACT)
        rows, durations, _ = render(
            pair64.network, [items[case] for case in batch.again], extra=batch.extra_again
        )
    for i, case in enumerate(batch.again):
        if case in known:
            check(rows[i], durations[i], known[case], within=EXACT)


CASES = [
    Case(12, "af_heart", 1.0, 1),
    Case(5, "bf_emma", 0.5, 2),
    Case(20, "jf_alpha", 2.0, 3),
    Case(9, "zf_xiaobei", 1.2, 4),
    Case(7, "am_adam", 0.8, 5),
    Case(15, "ef_dora", 1.5, 6),
    Case(11, "ff_siwis", 1.0, 7),
    Case(8, "af_sky", 0.7, 8),
]


def with_other_roundings(upstream: Upstream, items: list[Prepared]) -> Iterator[list[Rendering]]:
    """Run upstream as before but for its roundings, in several ways.

    With wide vectors another count of threads may round alike, at least in the pitch. A voice row
    one unit in the last place away touches everything on every processor.
    """
    with threads(2):
        yield [upstream(item) for item in items]
    nudged = [
        dataclasses.replace(item, style=torch.nextafter(item.style, torch.zeros(())))
        for item in items
    ]
    yield [upstream(item) for item in nudged]


@dataclasses.dataclass(frozen=True)
class Floor:
    """What upstream gives for items, and how near it comes to that with other roundings.

    The phase is a sum, times 300 · 2π: one rounding in the pitch moves it by a hundredth of a
    turn, so a tenth of the signal differs from run to run, and more or less by chance from item to
    item. Hence medians over items; 1.5 is what chance leaves of the ratio of two medians of eight.
    """

    items: list[Prepared]
    plain: list[Rendering]
    median: float

    def check(self, rows: Iterable[Tensor], durations: Iterable[Tensor]) -> None:
        for row, lengths, one in zip(rows, durations, self.plain, strict=True):
            check(row, lengths, one, within=2.0)
        apart = [
            relative_rms(row[: len(one.samples)], one.samples)
            for row, one in zip(rows, self.plain, strict=True)
        ]
        assert statistics.median(apart) <= 1.5 * self.median


@pytest.fixture(scope="module")
def floor(pair: Pair) -> Floor:
    items = [pair.item(case) for case in CASES]
    plain = [pair.upstream(item) for item in items]
    medians = [
        statistics.median(
            relative_rms(a.samples, b.samples) for a, b in zip(again, plain, strict=True)
        )
        for again in with_other_roundings(pair.upstream, items)
    ]
    return Floor(items, plain, max(medians))


def test_in_float32_ours_is_as_near_to_upstream_as_upstream_to_itself(
    pair: Pair, floor: Floor
) -> None:
    assert 1e-3 < floor.median < 0.5  # else it would be unfair, or say nothing
    rows, durations, _ = render(pair.network, floor.items, extra=2)
    floor.check(rows, durations)


def test_the_engines_own_kernels_are_as_near(engine_runner: Any, floor: Floor) -> None:
    audios = engine_runner.run(floor.items)
    floor.check(
        [torch.from_numpy(audio.samples) for audio in audios],
        [torch.from_numpy(audio.durations) for audio in audios],
    )


@pytest.fixture(scope="module")
def engine_runner(kokoro_engine: Any) -> Any:
    """What the engine runs on this machine: compiled kernels, where there is a compiler."""
    return kokoro_engine._runner


def test_in_float32_ours_equals_upstream_that_hears_the_same_source(
    pair: Pair, engine_runner: Any, floor: Floor
) -> None:
    """Without the sum of phases only roundings of single operations are left."""
    for item, expected in list(zip(floor.items, floor.plain, strict=True))[:4]:
        rows, durations, _ = render(pair.network, [item], harmonics=expected.harmonics)
        check(rows[0], durations[0], expected, within=2e-5)
        with heard_harmonics(engine_runner._network, expected.harmonics):
            (audio,) = engine_runner.run([item])
        samples, lengths = torch.from_numpy(audio.samples), torch.from_numpy(audio.durations)
        check(samples, lengths, expected, within=1e-4)  # filtering rounds a little more


def test_an_items_noise_follows_its_seed_alone(pair: Pair) -> None:
    case = CASES[1]
    other = dataclasses.replace(case, seed=case.seed + 1)
    items = [pair.item(CASES[3]), pair.item(case), pair.item(case)]
    items[2] = dataclasses.replace(items[1], seed=other.seed)
    rows, durations, _ = render(pair.network, items)
    assert torch.equal(durations[1], durations[2])
    assert relative_rms(rows[2], rows[1]) > 1e-3
    alone, _, _ = render(pair.network, [items[2]])
    heard = int(durations[2].sum()) * FRAME_SAMPLES
    assert relative_rms(rows[2, :heard], alone[0]) < 0.5 * relative_rms(rows[2], rows[1])


@pytest.mark.slow
def test_at_full_size_each_item_of_a_padded_batch_equals_upstream(tmp_path: Path) -> None:
    """One case of every layer that the tiny checkpoint lacks; `make bench` has more of them."""
    folder = tmp_path / "full"
    write_checkpoint(folder, size="full")
    pair = load_pair(folder, torch.float32)
    items = [
        pair.item(Case(12, "zm_yunyang", 1.0, 1)),
        pair.item(Case(2, "af_heart", 1.5, 2)),
    ]
    plain = [pair.upstream(item) for item in items]
    _, _, own = render(pair.network, items)
    steps = [one.harmonics.shape[1] for one in plain]
    for row, count, one in zip(own, steps, plain, strict=True):
        assert relative_rms(row[:count], one.harmonics[0]) < 0.5
    heard = torch.nn.utils.rnn.pad_sequence([one.harmonics[0] for one in plain], batch_first=True)
    rows, durations, _ = render(pair.network, items, harmonics=heard)
    for i, one in enumerate(plain):
        check(rows[i], durations[i], one, within=2e-5)
