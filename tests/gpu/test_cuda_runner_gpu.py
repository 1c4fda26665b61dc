"""What only a CUDA device can show of its runner: graphs, Triton, half precision, memory."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.upstream import load_network, log_mel_distance
from worker.engines.base import SegmentAudio
from worker.engines.checkpoint import write_checkpoint
from worker.engines.cuda import CudaRunner, make_triton_kernels
from worker.engines.runner import Prepared

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
DEVICE = "cuda:0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny"
    write_checkpoint(path, size="tiny")
    return path


@pytest.fixture(scope="module")
def pack(folder: Path) -> Tensor:
    found: Tensor = torch.load(folder / "voices" / "af_heart.pt", weights_only=True)
    return found


@pytest.fixture(scope="module")
def runner(folder: Path) -> CudaRunner:
    return CudaRunner(load_network(folder), DEVICE, "exact")


@pytest.fixture(scope="module")
def plain(folder: Path) -> CudaRunner:
    return CudaRunner(load_network(folder), DEVICE, "exact", triton=False, graphs=False)


def make_items(pack: Tensor, lengths: list[int]) -> list[Prepared]:
    draws = random.Random(1)
    return [
        Prepared(
            (0, *(draws.randint(1, 170) for _ in range(length)), 0),
            pack[length - 1].squeeze(0),
            1.0,
            seed,
        )
        for seed, length in enumerate(lengths)
    ]


def assert_sound_alike(got: SegmentAudio, right: SegmentAudio, within: float) -> None:
    assert got.durations is not None
    assert right.durations is not None
    np.testing.assert_array_equal(got.durations, right.durations)
    assert got.samples.shape == right.samples.shape
    assert np.isfinite(got.samples).all()
    one, other = torch.from_numpy(got.samples.copy()), torch.from_numpy(right.samples.copy())
    assert log_mel_distance(one, other) <= within


def test_everything_that_may_fall_back_did_not(runner: CudaRunner) -> None:
    assert runner.kernels_state == "triton"
    assert len(runner.graphs) > 0
    assert "failed" not in runner.graphs.state


def test_the_triton_kernels_agree_with_the_plain_form() -> None:
    make_triton_kernels(torch.device(DEVICE))


@pytest.mark.parametrize("lengths", [[9], [30, 4], [12, 60, 61, 7, 100, 3, 3, 90, 41]])
def test_graphs_and_triton_sound_as_the_plain_form_does(
    runner: CudaRunner, plain: CudaRunner, pack: Tensor, lengths: list[int]
) -> None:
    items = make_items(pack, lengths)
    for got, right in zip(runner.run(items), plain.run(items), strict=True):
        assert_sound_alike(got, right, 0.05)


def test_replays_do_not_disturb_each_other(runner: CudaRunner, pack: Tensor) -> None:
    first, second = make_items(pack, [9, 12])
    (one,) = runner.run([first])
    kept = one.samples.copy()
    runner.run([second])
    np.testing.assert_array_equal(one.samples, kept)
    np.testing.assert_array_equal(runner.run([first])[0].samples, kept)


def test_graphs_survive_an_emptied_cache(runner: CudaRunner, pack: Tensor) -> None:
    (item,) = make_items(pack, [9])
    before = runner.run([item])[0].samples.copy()
    torch.cuda.empty_cache()
    np.testing.assert_array_equal(runner.run([item])[0].samples, before)


def test_fast_keeps_the_durations_and_nearly_the_sound(
    folder: Path, plain: CudaRunner, pack: Tensor
) -> None:
    fast = CudaRunner(load_network(folder).halve(torch.float16), DEVICE, "fast")
    items = make_items(pack, [9, 60, 100, 31])
    for got, right in zip(fast.run(items), plain.run(items), strict=True):
        assert_sound_alike(got, right, 0.15)


def test_two_streams_sound_as_one(folder: Path, plain: CudaRunner, pack: Tensor) -> None:
    two = CudaRunner(load_network(folder), DEVICE, "exact", triton=False, two_streams=True)
    items = make_items(pack, [9, 60])
    for got, right in zip(two.run(items), plain.run(items), strict=True):
        assert_sound_alike(got, right, 0.05)


def test_memory_stays_flat(runner: CudaRunner, pack: Tensor) -> None:
    draws = random.Random(2)
    batches = [make_items(pack, [draws.randint(1, 200) for _ in range(8)]) for _ in range(20)]
    held = []
    for batch in [*batches, *batches]:
        runner.run(batch)
        held.append(torch.cuda.memory_allocated())
    assert max(held[20:]) <= max(held[:20]) + 2**20


def test_out_of_memory_is_a_runtime_error_and_passes(runner: CudaRunner, pack: Tensor) -> None:
    items = make_items(pack, [200] * 16)  # their noise alone takes some 170 MB
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**26) / total)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            runner.run(items)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert len(runner.run(items)) == 16
