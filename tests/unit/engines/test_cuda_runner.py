"""The CUDA runner's own logic, tried on a CPU: shapes, padding, graphs, seeds, and no host read."""

import json
import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from worker.engines.base import SegmentAudio
from worker.engines.checkpoint import WEIGHTS_NAME
from worker.engines.cuda import (
    BATCHES,
    LAUNCH_FRAMES,
    SHARE_FRAMES,
    CudaRunner,
    batch_rung,
    rung,
    share_out,
)
from worker.engines.graphs import Graphs, Shape, Tensors
from worker.engines.kmodel import build, fold_weight_norm, load_weights
from worker.engines.network.network import HARMONICS, Network
from worker.engines.runner import Prepared, draw_noise, pad_tokens


class FakeRecorder:
    """Captures as CUDA does, as far as a caller can tell: outputs have one place, filled again."""

    def __init__(self, *, fails_after: int | None = None, stale: bool = False) -> None:
        self.records = self.replays = 0
        self._fails_after, self._stale = fails_after, stale

    def record(self, call: Callable[[], Tensors]) -> tuple[Callable[[], None], Tensors]:
        if self.records == self._fails_after:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.records += 1
        outputs = tuple(tensor.clone() for tensor in call())

        def replay() -> None:
            self.replays += 1
            if not self._stale:
                for output, value in zip(outputs, call(), strict=True):
                    output.copy_(value)

        return replay, outputs


@pytest.fixture(autouse=True)
def in_float64() -> Iterator[None]:
    """In float32 a rounding of the source's phase is heard, so only float64 tells a fault from it.

    The runner makes what it makes in torch's default type.
    """
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def network(tiny_checkpoint: Path) -> Network:
    model = build(json.loads((tiny_checkpoint / "config.json").read_text()))
    load_weights(model, tiny_checkpoint / WEIGHTS_NAME)
    fold_weight_norm(model)
    network = Network(model).double()
    network.vocoder.generator.spectrum.by_matrix = True
    return network


@pytest.fixture(scope="module")
def packs(tiny_checkpoint: Path) -> list[Tensor]:
    return [
        torch.load(path, weights_only=True)
        for path in sorted((tiny_checkpoint / "voices").glob("*.pt"))
    ]


@pytest.fixture(scope="module")
def items(packs: list[Tensor]) -> list[Prepared]:
    draws = random.Random(3)
    return [
        Prepared(
            tokens=(0, *(draws.randint(1, 170) for _ in range(length)), 0),
            style=packs[i % len(packs)][length - 1].squeeze(0).double(),
            speed=speed,
            seed=100 + i,
        )
        for i, (length, speed) in enumerate([(9, 1.0), (1, 2.0), (14, 1.0), (8, 1.5), (6, 0.8)])
    ]


def bare(network: Network) -> CudaRunner:
    return CudaRunner(network, "cpu", "exact")


def alone(network: Network, item: Prepared) -> SegmentAudio:
    """Return the item by itself, in its own shape: no rung, no graph, no neighbour."""
    with torch.no_grad():
        tokens = pad_tokens([item], len(item.tokens))
        style = item.style.unsqueeze(0)
        spoken = network.text(
            tokens, torch.tensor([len(item.tokens)]), style, torch.tensor([item.speed]), full=True
        )
        frames = spoken.durations.sum(1)
        width = int(frames)
        noise = torch.empty(1, HARMONICS, 600 * width)
        draw_noise(item.seed, noise[0], width)
        samples = network.speech(spoken, frames, width, style, noise, full=True)
    return SegmentAudio(samples[0].float().numpy(), spoken.durations[0].numpy())


def assert_alike(got: SegmentAudio, right: SegmentAudio) -> None:
    assert got.durations is not None
    assert right.durations is not None
    np.testing.assert_array_equal(got.durations, right.durations)
    assert got.samples.dtype == np.float32
    assert got.samples.shape == right.samples.shape == (600 * right.durations.sum(),)
    error = np.linalg.norm(got.samples - right.samples) / np.linalg.norm(right.samples)
    assert error <= 1e-6


# Shapes


def test_a_rung_is_at_most_an_eighth_too_wide() -> None:
    rungs = {rung(needed) for needed in range(1, 4097)}
    for needed in range(1, 4097):
        assert needed <= rung(needed) <= max(needed + 7, needed * 1.125)
        assert rung(rung(needed)) == rung(needed)
    assert len(rungs) <= 64
    assert rung(512) == 512  # PL-BERT has no more positions


def test_a_batch_is_cut_where_padding_costs_more_than_a_launch() -> None:
    (whole,) = share_out([100, 90, 95, 99], most=SHARE_FRAMES, launch=LAUNCH_FRAMES)
    assert whole.rows == (0, 3, 2, 1)
    assert (whole.batch, whole.width) == (4, 104)
    short, long = share_out([100] * 8 + [1500] * 8, most=SHARE_FRAMES, launch=LAUNCH_FRAMES)
    assert set(short.rows) == set(range(8, 16))
    assert set(long.rows) == set(range(8))


def test_shares_hold_every_item_once_and_keep_to_the_memory() -> None:
    draws = random.Random(1)
    for _ in range(50):
        lengths = [draws.randint(1, 1200) for _ in range(draws.randint(1, 90))]
        shares = share_out(lengths, most=6000, launch=LAUNCH_FRAMES)
        assert sorted(row for share in shares for row in share.rows) == list(range(len(lengths)))
        for share in shares:
            assert share.batch == batch_rung(len(share.rows)) in BATCHES
            assert share.width == rung(max(lengths[row] for row in share.rows))
            assert share.batch * share.width <= 6000 or len(share.rows) == 1


# Rendering


def test_a_batch_gives_each_item_what_it_gets_alone(
    network: Network, items: list[Prepared]
) -> None:
    for got, item in zip(bare(network).run(items), items, strict=True):
        assert_alike(got, alone(network, item))


def test_an_empty_batch_is_no_work(network: Network) -> None:
    assert bare(network).run([]) == []


def test_what_lies_in_undefined_memory_is_never_heard(
    network: Network, items: list[Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(_: CudaRunner, batch: int, width: int) -> Tensor:
        return torch.full((batch, HARMONICS, 600 * width), float("nan"))

    monkeypatch.setattr(CudaRunner, "_empty_noise", poisoned)
    for got, item in zip(bare(network).run(items[:3]), items[:3], strict=True):
        assert_alike(got, alone(network, item))


def test_shares_of_one_batch_come_back_in_the_batchs_order(
    network: Network, items: list[Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.engines.cuda.LAUNCH_FRAMES", 0)
    monkeypatch.setattr("worker.engines.cuda.LAUNCH_TOKENS", 0)
    runner = bare(network)
    for got, item in zip(runner.run(items[:3]), items[:3], strict=True):
        assert_alike(got, alone(network, item))


# Graphs


@pytest.fixture
def few_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.engines.cuda.GRAPH_BATCHES", (1, 2))
    monkeypatch.setattr("worker.engines.cuda.GRAPH_TOKENS", (16,))
    monkeypatch.setattr("worker.engines.cuda.GRAPH_FRAMES", (48,))


@pytest.mark.usefixtures("few_graphs")
def test_short_batches_replay_graphs_and_long_ones_do_not(
    network: Network, items: list[Prepared]
) -> None:
    recorder = FakeRecorder()
    runner = CudaRunner(network, "cpu", "exact", recorder=recorder)
    assert recorder.records == 4
    replays = recorder.replays
    short, longer = items[1], items[2]
    (got,) = runner.run([short])
    assert recorder.replays == replays + 2
    assert_alike(got, alone(network, short))
    for got, item in zip(runner.run([short, items[3]]), [short, items[3]], strict=True):
        assert_alike(got, alone(network, item))
    assert recorder.replays == replays + 4
    assert_alike(runner.run([longer] * 3)[2], alone(network, longer))
    assert recorder.replays == replays + 4


@pytest.mark.usefixtures("few_graphs")
@pytest.mark.parametrize("recorder", [FakeRecorder(fails_after=1), FakeRecorder(stale=True)])
def test_where_graphs_fail_the_work_is_done_without(
    network: Network,
    items: list[Prepared],
    recorder: FakeRecorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        runner = CudaRunner(network, "cpu", "exact", recorder=recorder)
    assert "no CUDA graph" in caplog.text
    assert "failed at" in runner.graphs.state
    assert_alike(runner.run([items[1]])[0], alone(network, items[1]))


def test_captures_stop_when_the_time_is_up() -> None:
    one = torch.zeros(1)
    graphs = Graphs(FakeRecorder())
    wanted = [(Shape("text", 1, width), lambda x: (x + 1,), lambda: (one,)) for width in (8, 16)]
    graphs.capture(wanted, within_s=-1)
    assert len(graphs) == 0
    assert "stopped for time" in graphs.state
    graphs.capture(wanted, within_s=60)
    found = graphs.find("text", 1, 9)
    assert found is not None
    assert found[0] == Shape("text", 1, 16)
    assert graphs.find("text", 2, 8) is None
    assert graphs.find("speech", 1, 8) is None


def test_without_triton_or_a_device_for_it_the_plain_kernels_stay(
    network: Network, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def absent(_: torch.device) -> Any:
        raise ImportError("No module named 'triton'")

    monkeypatch.setattr("worker.engines.cuda.make_triton_kernels", absent)
    runner, plain = bare(network), network.kernels
    runner._try_triton()
    assert network.kernels is plain
    assert runner.kernels_state.startswith("eager (ImportError")
    assert "no Triton kernels" in caplog.text


# What would make the host wait, or break a capture


class NoHostReads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses what waits for a CUDA device: values read back, shapes that depend on values, and
    tensors made of the host's numbers."""

    REFUSED = frozenset({
        "_local_scalar_dense", "nonzero", "masked_select", "unique_dim", "_unique2", "is_nonzero",
        "equal", "lift_fresh", "bincount", "unique_consecutive", "repeat_interleave.Tensor",
        "nonzero_static", "item", "allclose",
    })  # fmt: skip

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::")
        mask = name.startswith("index") and any(
            isinstance(index, Tensor) and index.dtype == torch.bool
            for index in (args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else [])
        )
        if name in self.REFUSED or name.split(".")[0] in self.REFUSED or mask:
            raise AssertionError(f"{name} makes the host wait")
        return func(*args, **(kwargs or {}))


@pytest.fixture
def no_host_reads() -> Iterator[type[NoHostReads]]:
    with pytest.raises(AssertionError, match="host wait"), NoHostReads():  # type: ignore[no-untyped-call]
        torch.ones(3).sum().item()
    with pytest.raises(AssertionError, match="host wait"), NoHostReads():  # type: ignore[no-untyped-call]
        torch.ones(3)[torch.ones(3) > 0]
    yield NoHostReads


def test_neither_half_of_the_network_reads_a_value_back(
    network: Network, items: list[Prepared], no_host_reads: type[NoHostReads]
) -> None:
    runner = bare(network)
    with torch.no_grad():
        text, speech = runner._text_inputs(2, 16), runner._speech_inputs(2, 24)
        with no_host_reads():
            runner._text_call(*text)
            runner._speech_call(*speech)
            spoken = network.text(*text, full=False)
            network.spread(spoken, 24)


def test_the_whole_run_reads_nothing_but_durations(
    network: Network,
    items: list[Prepared],
    no_host_reads: type[NoHostReads],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between one share's beginning and its landing the host only asks for work."""
    runner = bare(network)
    with torch.no_grad():
        (said,) = runner._say(items[:2])
    share = share_out([40, 40], most=SHARE_FRAMES, launch=LAUNCH_FRAMES)[0]
    index = torch.tensor([0, 1])
    monkeypatch.setattr(runner._copies, "up", lambda _: index)
    monkeypatch.setattr("worker.engines.cuda.torch.tensor", lambda _: index)
    with torch.no_grad(), no_host_reads():
        runner._speak(said, share, [40, 40], [1, 2])


def test_the_transform_by_matrix_is_the_transform(network: Network) -> None:
    from worker.engines.network.layers import Extent  # noqa: PLC0415

    spectrum = network.vocoder.generator.spectrum
    samples = torch.randn(2, 600, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    extent = Extent(torch.tensor([600, 300]), 600, full=False)
    frames = Extent(extent.lengths // spectrum.hop + 1, 600 // spectrum.hop + 1, full=False)
    by_matrix = spectrum.split(samples, extent, frames)
    spectrum.by_matrix = False
    try:
        torch.testing.assert_close(by_matrix, spectrum.split(samples, extent, frames))
    finally:
        spectrum.by_matrix = True
