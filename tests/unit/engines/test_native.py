"""The compiled kernels give what the plain form gives, and their absence costs nothing but time."""

import copy
import json
import stat
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.engines.conftest import MakeSegment
from worker.engines.checkpoint import WEIGHTS_NAME
from worker.engines.kmodel import build, fold_weight_norm, load_weights
from worker.engines.kokoro import KokoroEngine
from worker.engines.network import native
from worker.engines.network.kernels import Kernels
from worker.engines.network.layers import Extent
from worker.engines.network.native import (
    FILTERS,
    FRAME_FILTER,
    HalfKernels,
    NativeKernels,
    filtering,
    load_library,
)
from worker.engines.network.network import Network
from worker.engines.network.vocoder import Features

CUTS = sorted({FRAME_FILTER, *(cut for cuts in FILTERS.values() for cut in cuts.values())}, key=str)


@pytest.fixture(scope="module")
def network(tiny_checkpoint: Path) -> Network:
    model = build(json.loads((tiny_checkpoint / "config.json").read_text()))
    load_weights(model, tiny_checkpoint / WEIGHTS_NAME)
    fold_weight_norm(model)
    return Network(model)


@pytest.fixture
def no_library_is_kept() -> Iterator[None]:
    load_library.cache_clear()
    yield
    load_library.cache_clear()


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: f"{cut.tile}-{cut.taps}")
def test_filtering_is_a_convolution_to_the_last_fraction(cut: native.Filter) -> None:
    inputs, weights, outputs = filtering(cut.tile, cut.taps, cut.places)
    kernel = [Fraction(3 * i - 4, 7) for i in range(cut.taps)]
    window = [Fraction(i * i - 5, 3) for i in range(cut.tile + cut.taps - 1)]

    def times(matrix: Any, vector: list[Fraction]) -> list[Fraction]:
        return [
            sum((a * b for a, b in zip(row, vector, strict=True)), Fraction(0)) for row in matrix
        ]

    products = [a * b for a, b in zip(times(weights, kernel), times(inputs, window), strict=True)]
    direct = [
        sum((kernel[k] * window[i + k] for k in range(cut.taps)), Fraction(0))
        for i in range(cut.tile)
    ]
    assert times(outputs, products) == direct


@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize("lengths", [[1], [3, 1], [67, 301, 20]])
def test_residual_blocks_equal_the_plain_form_in_float64(
    network: Network, precision: str, lengths: list[int]
) -> None:
    generator = torch.Generator().manual_seed(3)
    fast: Any = copy.deepcopy(network)
    kernels = NativeKernels(precision)
    kernels.prepare(fast)
    wide: Any = copy.deepcopy(network).double()
    style = torch.randn(len(lengths), 128, generator=generator)
    extent = Extent(torch.tensor(lengths), max(lengths) + 4, full=False)
    adopted = 0
    for plain, ours in zip(
        wide.vocoder.generator.blocks, fast.vocoder.generator.blocks, strict=True
    ):
        channels = plain.alphas.shape[1]
        x = torch.randn(len(lengths), extent.width, channels, generator=generator) * 3 + 1
        expected = Kernels().mean_of_blocks(
            [plain, plain], x.double(), wide.vocoder.bank(style.double()), extent
        )
        got = kernels.mean_of_blocks([ours, ours], x, fast.vocoder.bank(style), extent)
        adopted += ours.convs1[0].weight.numel() == 0
        for item, length in enumerate(lengths):
            want = expected[item, :length]
            error = (got[item, :length] - want).norm() / want.norm()
            assert error < (1e-4 if precision == "exact" else 1e-3), (channels, length)
    assert adopted, "no block was narrow enough to be computed by the kernels"


@pytest.mark.parametrize("lengths", [[1], [2, 9], [40, 13]])
def test_frame_blocks_equal_the_plain_form_in_float64(network: Network, lengths: list[int]) -> None:
    generator = torch.Generator().manual_seed(4)
    fast: Any = copy.deepcopy(network)
    kernels = NativeKernels("exact")
    kernels.prepare(fast)
    wide: Any = copy.deepcopy(network).double()
    style = torch.randn(len(lengths), 128, generator=generator)
    extent = Extent(torch.tensor(lengths), max(lengths) + 3, full=False)
    for plain, ours in zip(wide.vocoder.blocks, fast.vocoder.blocks, strict=True):
        x = torch.randn(
            len(lengths), extent.width, plain.conv1.weight.shape[1], generator=generator
        )
        x = extent.clear(x)
        affines = wide.vocoder.bank(style.double())
        expected = Kernels().frame_block(plain, x.double(), affines, extent)
        got = kernels.frame_block(ours, x, fast.vocoder.bank(style), extent)
        assert ours.conv1.weight.numel() == 0
        assert (got - expected).norm() / expected.norm() < 1e-4
        rows = 2 if plain.doubles else 1
        for item, length in enumerate(lengths):
            assert not got[item, rows * length :].any()


def test_audio_is_the_same_to_the_last_bit_whatever_the_number_of_threads(
    kokoro_engine: KokoroEngine, make_segment: MakeSegment
) -> None:
    network = kokoro_engine._runner._network  # type: ignore[attr-defined]
    assert network.kernels.name == "native"
    block = next(iter(network.vocoder.generator.blocks))
    x = torch.randn(1, 400, block.alphas.shape[1])
    affines = network.vocoder.bank(torch.randn(1, 128))
    extent = Extent(torch.tensor([400]), 400, full=True)
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            results.append(network.kernels.mean_of_blocks([block], x, affines, extent))
        finally:
            torch.set_num_threads(1)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("channels", [64, 24, 5])
def test_norm_to_bfloat16_equals_the_plain_form_but_for_its_last_rounding(channels: int) -> None:
    generator = torch.Generator().manual_seed(5)
    kernels, lengths = HalfKernels(), torch.tensor([211, 96, 1])
    extent = Extent(lengths, 215, full=False)
    x = torch.randn(3, 215, channels, generator=generator) * 4 + 2
    x[1, 100:] = float("nan")
    affine = tuple(torch.randn(3, channels, generator=generator) for _ in range(2))
    alpha = torch.rand(channels, generator=generator) + 0.3
    for dtype in (torch.float32, torch.bfloat16):
        given = x.to(dtype)
        for ours, plain in (
            (kernels.norm_snake, Kernels().norm_snake),
            (kernels.norm_leaky, Kernels().norm_leaky),
        ):
            extra: Any = alpha if ours == kernels.norm_snake else 0.2
            expected = plain(given, extent, affine, extra)  # type: ignore[arg-type]
            got = ours(given, extent, affine, extra)  # type: ignore[arg-type]
            torch.testing.assert_close(got.float(), expected.float(), rtol=2**-8, atol=2e-3)
            assert not got[1, 96:].any()


def test_bfloat16_convolutions_stay_near_the_exact_ones(tiny_checkpoint: Path) -> None:
    def load() -> Network:
        model = build(json.loads((tiny_checkpoint / "config.json").read_text()))
        load_weights(model, tiny_checkpoint / WEIGHTS_NAME)
        fold_weight_norm(model)
        return Network(model)

    exact, half = load(), load().halve(torch.bfloat16)
    half.kernels = HalfKernels()
    tokens = torch.tensor([[0, 50, 83, 54, 156, 57, 135, 0]])
    count, style, speed = torch.tensor([8]), torch.randn(1, 256), torch.ones(1)
    said, again = (net.text(tokens, count, style, speed, full=True) for net in (exact, half))
    assert torch.equal(said.durations, again.durations)
    frames = said.durations.sum(1)
    features = torch.randn(1, 2 * int(frames), 512)
    pitch = torch.full((1, 2 * int(frames)), 150.0)
    noise = torch.randn(1, 9, 600 * int(frames))
    extent = Extent(frames * 2, 2 * int(frames), full=True)
    outputs = []
    for net in (exact, half):
        vocoder: Any = net.vocoder
        bundle = Features(features, pitch, pitch, noise)
        affines = vocoder.bank(style[:, :128])
        outputs.append(vocoder.generator(features, bundle, affines, extent, net.kernels))
    noise_ratio = (outputs[0] - outputs[1]).norm() / outputs[0].norm()
    assert 1e-5 < noise_ratio < 0.1


@pytest.mark.usefixtures("no_library_is_kept")
def test_without_a_compiler_the_engine_speaks_all_the_same(
    kokoro_engine: KokoroEngine,
    tiny_checkpoint: Path,
    make_segment: MakeSegment,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plain = KokoroEngine.load(str(tiny_checkpoint), device="cpu")
    assert plain._runner._network.kernels.name == "eager"  # type: ignore[attr-defined]
    (expected,) = kokoro_engine.forward([make_segment()])
    (audio,) = plain.forward([make_segment()])
    assert audio.durations is not None
    assert expected.durations is not None
    np.testing.assert_array_equal(audio.durations, expected.durations)


@pytest.mark.usefixtures("no_library_is_kept")
def test_a_compiler_that_fails_is_named_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no such machine >&2\nexit 3\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(OSError, match="no such machine"):
        NativeKernels("exact")


@pytest.mark.usefixtures("no_library_is_kept")
def test_a_library_is_built_once_and_kept_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cut = FILTERS["exact"][3]
    load_library(cut)
    (built,) = (tmp_path / "kokoro-cluster").iterdir()
    before = built.stat().st_mtime_ns
    load_library.cache_clear()
    load_library(cut)
    assert [path.stat().st_mtime_ns for path in built.parent.iterdir()] == [before]
