"""The styled convolutions in C++, for float32 on a CPU: one pass over memory for each.

Built by the machine's own compiler for its own processor the first time an engine loads, kept in
a cache, and left out where there is no compiler: then the plain form runs.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from worker.engines.network.kernels import SQRT_HALF, Kernels
from worker.engines.network.layers import NORM_EPS, Affine, Conv, Extent
from worker.engines.network.vocoder import FrameBlock, SnakeBlock

SOURCE = Path(__file__).with_name("native.cpp")
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fopenmp", "-shared", "-fPIC")
BUILD_WITHIN_S = 120.0

PLAIN, LEAKY, SNAKE = 0, 1, 2


@dataclass(frozen=True)
class Filter:
    """How a convolution is cut up.

    Attributes:
        tile: outputs that one product makes.
        taps: of one block of the kernel; several blocks share their transformed input.
        places: where the filter's polynomials are evaluated, at infinity besides: the choice of
            those tried whose float32 error is least.
    """

    tile: int
    taps: int
    places: tuple[Fraction | int, ...]


_BASE = (0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2))

# Rounding error of a 256-channel convolution, times a plain float32 sum's: 3, 9 and 10.
_EXACT = {
    3: Filter(6, 3, _BASE),
    7: Filter(6, 7, (*_BASE, 4, Fraction(-1, 4), Fraction(3, 2), Fraction(-2, 3))),
    11: Filter(6, 6, (*_BASE, Fraction(3, 2), Fraction(-3, 2), Fraction(2, 3))),
}
_QUARTERS = (4, -4, Fraction(1, 4), Fraction(-1, 4))
_THIRDS = (Fraction(3, 2), Fraction(-3, 2), Fraction(2, 3), Fraction(-2, 3))

FILTERS = {
    "exact": _EXACT,
    # Its own is 86 times a plain sum's, 7e-5 of the signal: far below 16-bit numbers'.
    "fast": _EXACT | {11: Filter(6, 11, (*_BASE, *_QUARTERS, *_THIRDS))},
}
"""Of the residual blocks, by precision and a convolution's taps."""

FRAME_FILTER = Filter(2, 3, (0, 1, -1))
"""Of the blocks at frame rate: they have most weights and least work, so it is memory that counts,
of which longer filters take more."""


@cache
def filtering(tile: int, taps: int, places: tuple[Fraction | int, ...]) -> tuple[Any, Any, Any]:
    """Return (INPUT, WEIGHT, OUTPUT) of Toom-Cook filtering, exact.

    `tile` outputs of a filter are OUTPUT · ((WEIGHT · filter) ⊙ (INPUT · window)): polynomial
    multiplication by evaluation and Lagrange interpolation, transposed (Winograd 1980).

    Args:
        tile: outputs.
        taps: of the filter.
        places: tile + taps - 2 distinct numbers; infinity is the last.

    Returns:
        Lists of rows of fractions, (points, points), (points, taps), (tile, points).
    """
    points = [Fraction(place) for place in places]
    window = tile + taps - 1
    if len(set(points)) != window - 1:
        raise ValueError(f"{window - 1} distinct places are needed")

    def product(roots: Sequence[Fraction]) -> list[Fraction]:
        poly = [Fraction(1)]
        for root in roots:
            shifted = [Fraction(0), *poly]
            poly = [s - root * p for s, p in zip(shifted, [*poly, Fraction(0)], strict=True)]
        return poly

    rows = []
    for i, place in enumerate(points):
        others = points[:i] + points[i + 1 :]
        scale = Fraction(1)
        for other in others:
            scale *= place - other
        rows.append([c / scale for c in product(others)] + [Fraction(0)])
    rows.append(product(points))
    weight = [[place**j for j in range(taps)] for place in points]
    weight.append([Fraction(int(j == taps - 1)) for j in range(taps)])
    output = [[place**i for place in points] + [Fraction(int(i == tile - 1))] for i in range(tile)]
    for i, row in enumerate(rows):
        largest = max(abs(c) for c in row)  # rows of size 1 keep the input's rounding small
        rows[i] = [c / largest for c in row]
        weight[i] = [c * largest for c in weight[i]]
    return rows, weight, output


def transformed(weight: Tensor, cut: Filter, columns: int, lanes: int) -> Tensor:
    """Return a convolution's weight as `native.cpp` reads it.

    Args:
        weight: (out, in, taps).
        cut: how the taps are cut up.
        columns: outputs that one register block holds.
        lanes: numbers that one register holds.

    Returns:
        float32, (out / columns, points, blocks, in up to whole lanes, columns).
    """
    out, channels, taps = weight.shape
    blocks = -(-taps // cut.taps)
    depth = -(-channels // lanes) * lanes
    _, matrix, _ = filtering(cut.tile, cut.taps, cut.places)
    rows = torch.tensor([[float(c) for c in row] for row in matrix], dtype=torch.float64)
    padded = nn.functional.pad(weight, (0, blocks * cut.taps - taps, 0, depth - channels))
    result = torch.empty(out // columns, len(rows), blocks, depth, columns)
    # In small parts, whose float64 stays in the cache.
    for to, part in zip(result, torch.split(padded, columns), strict=True):
        pieces = part.reshape(-1, cut.taps).double() @ rows.T
        to.copy_(pieces.view(columns, depth, blocks, -1).permute(3, 2, 1, 0))
    return result


@cache
def load_library(cut: Filter) -> Any:
    """Build, or take from the cache, and load the library for one way of cutting kernels.

    Raises:
        OSError, subprocess.SubprocessError: there is no compiler, or it fails; the reason.
    """
    compiler = os.environ.get("CXX") or next(
        (found for name in ("g++", "c++", "clang++") if (found := shutil.which(name))), None
    )
    if compiler is None:
        raise OSError("no C++ compiler (g++, c++ or clang++) is at hand")
    source = _constants(cut) + SOURCE.read_text(encoding="utf-8")
    digest = hashlib.sha256("\0".join([source, compiler, *FLAGS, _processor()]).encode())
    folder = _cache_folder()
    library = folder / f"{digest.hexdigest()[:32]}.so"
    if not library.exists():
        _build(compiler, source, library)
    return _declare(ctypes.CDLL(str(library)))


def _constants(cut: Filter) -> str:
    inputs, _, outputs = filtering(cut.tile, cut.taps, cut.places)

    def table(name: str, rows: Any) -> str:
        body = ",".join("{" + ",".join(f"{float(c)!r}f" for c in row) + "}" for row in rows)
        return f"static constexpr float {name}[{len(rows)}][{len(rows[0])}] = {{{body}}};\n"

    sizes = f"#define TILE {cut.tile}\n#define TAPS {cut.taps}\n#define POINTS {len(inputs)}\n"
    sizes += f"#define EPSILON {NORM_EPS!r}f\n"
    return sizes + table("INPUT", inputs) + table("OUTPUT", outputs)


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine() + platform.processor()
    lines = [line for line in text.splitlines() if line.startswith(("flags", "model name"))]
    return platform.machine() + "".join(lines[:2])


def _cache_folder() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "kokoro-cluster"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid():
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="kokoro-cluster-"))


def _build(compiler: str, source: str, library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        staged = Path(folder) / library.name
        command = [compiler, "-x", "c++", "-", *FLAGS, "-o", str(staged)]
        done = subprocess.run(  # noqa: S603 - the machine's compiler on our own source
            command,
            input=source,
            text=True,
            capture_output=True,
            timeout=BUILD_WITHIN_S,
            check=False,
        )
        if done.returncode != 0:
            raise OSError(f"{compiler} failed: {done.stderr.strip()[:500]}")
        staged.replace(library)  # whole or not at all, whoever else builds it now


def _declare(library: Any) -> Any:
    pointer, integer, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
    library.kc_columns.restype = library.kc_lanes.restype = integer
    library.kc_statistics.argtypes = [pointer, integer, integer, pointer, pointer]
    library.kc_statistics.restype = None
    library.kc_conv.argtypes = (
        [pointer, integer, integer, integer] + [pointer] * 4 + [integer, real] + [pointer] * 3
        + [integer, integer, pointer, real, integer] + [pointer] * 3
    )  # fmt: skip
    library.kc_conv.restype = None
    library.kc_norm_to_half.argtypes = [
        pointer,
        integer,
        integer,
        integer,
        pointer,
        pointer,
        integer,
        real,
    ] + [pointer] * 2
    library.kc_norm_to_half.restype = None
    return library


@dataclass(frozen=True)
class Norm:
    """A norm and the activation after it, for one item.

    Attributes:
        moments: float32, (2, channels): mean and variance over the item's steps.
        scale: float32, (channels,).
        shift: float32, (channels,).
        alpha: Snake's, (channels,); None for a leaky ReLU.
        slope: of the leaky ReLU.
    """

    moments: Tensor
    scale: Tensor
    shift: Tensor
    alpha: Tensor | None = None
    slope: float = 0.0


@dataclass(frozen=True)
class Target:
    """Where a convolution's output goes: out = (y + residual) · factor, or that added to out.

    Attributes:
        out: float32, (steps, outputs).
        residual: the same shape.
        factor: of the sum.
        add: to what `out` holds.
        moments: float32, (2, outputs), to be filled with mean and variance of `out`.
    """

    out: Tensor
    residual: Tensor | None = None
    factor: float = 1.0
    add: bool = False
    moments: Tensor | None = None


@dataclass(frozen=True)
class Item:
    """One item of a batch on its way into residual blocks.

    Attributes:
        x: float32, (width, channels).
        steps: how many of them are real.
        moments: float32, (2, channels), of x.
        affines: the style's scale and shift of every norm, (channels,) each.
    """

    x: Tensor
    steps: int
    moments: Tensor
    affines: list[Affine]


class NativeKernels(Kernels):
    """The plain form but for the styled convolutions, which are most of the work."""

    name = "native"

    def __init__(self, precision: str) -> None:
        """Build or load the libraries for a precision.

        Raises:
            OSError, subprocess.SubprocessError: there is no compiler, or it fails; the reason.
        """
        self._cuts = FILTERS[precision]
        self._library = load_library(FRAME_FILTER)
        for cut in self._cuts.values():
            load_library(cut)
        self._ready: dict[Conv, tuple[Any, Tensor]] = {}

    def prepare(self, network: nn.Module) -> None:
        """Transform the weights of every block that these kernels can compute, once and for all.

        The plain weights of those blocks are given up: they would double the memory.
        """
        for block in network.modules():
            if isinstance(block, SnakeBlock):
                self._adopt([*block.convs1, *block.convs2], self._cuts)
            elif isinstance(block, FrameBlock):
                self._adopt([block.conv1, block.conv2], {FRAME_FILTER.taps: FRAME_FILTER})

    def _adopt(self, convs: Sequence[Conv], cuts: Mapping[int, Filter]) -> None:
        columns, lanes = self._library.kc_columns(), self._library.kc_lanes()
        fits = all(
            conv.weight.shape[0] % columns == 0
            and conv.weight.dtype == torch.float32
            and conv.stride == 1
            and conv.taps in cuts
            and conv.padding == conv.dilation * (conv.taps - 1) // 2
            for conv in convs
        )
        if fits:
            for conv in convs:
                cut = cuts[conv.taps]
                weight = transformed(conv.weight.squeeze(2), cut, columns, lanes)
                self._ready[conv] = (load_library(cut), weight)
                conv.weight = nn.Buffer(conv.weight.new_empty(0))

    def frame_block(
        self, block: FrameBlock, x: Tensor, affines: list[Affine], extent: Extent
    ) -> Tensor:
        """Return upstream's `AdainResBlk1d`, zero in the padding."""
        if block.conv1 not in self._ready:
            return super().frame_block(block, x, affines, extent)
        first, second = affines[block.affine], affines[block.affine + 1]
        inner = None
        reach = extent
        if block.doubles:
            inner = block.widen(self.norm_leaky(x, extent, first, block.slope))
            x = x.repeat_interleave(2, dim=1)
            reach = extent.scaled(2)
        x = x.contiguous()
        beside = (x if block.shortcut is None else block.shortcut(x)).contiguous()
        out = torch.zeros_like(beside)
        between = torch.empty_like(beside[0])
        moments = torch.empty(2, beside.shape[-1])
        for i, steps in enumerate(reach.lengths.tolist()):
            if inner is None:
                norm = Norm(self._moments(x[i], steps), first[0][i], first[1][i], slope=block.slope)
                self._conv(block.conv1, x[i], steps, norm, Target(between, moments=moments))
            else:
                self._conv(block.conv1, inner[i], steps, None, Target(between, moments=moments))
            norm = Norm(moments, second[0][i], second[1][i], slope=block.slope)
            self._conv(block.conv2, between, steps, norm, Target(out[i], beside[i], SQRT_HALF))
        return out

    def mean_of_blocks(
        self, blocks: Sequence[SnakeBlock], x: Tensor, affines: list[Affine], extent: Extent
    ) -> Tensor:
        """Return the mean of several blocks' outputs for the same input; undefined in padding."""
        if not all(block.convs1[0] in self._ready for block in blocks):
            return super().mean_of_blocks(blocks, x, affines, extent)
        out = torch.zeros_like(x, memory_format=torch.contiguous_format)
        self._add_mean(blocks, x.contiguous(), affines, extent, out)
        return out

    def add_block(
        self,
        x: Tensor,
        block: SnakeBlock,
        beside: Tensor,
        affines: list[Affine],
        extent: Extent,
    ) -> Tensor:
        """Return x plus one block's output for `beside`; x is overwritten."""
        if block.convs1[0] not in self._ready:
            return super().add_block(x, block, beside, affines, extent)
        x = x.contiguous()
        self._add_mean([block], beside.contiguous(), affines, extent, x)
        return x

    def _add_mean(
        self,
        blocks: Sequence[SnakeBlock],
        x: Tensor,
        affines: list[Affine],
        extent: Extent,
        out: Tensor,
    ) -> None:
        scratch = torch.empty(2, *x.shape[1:])
        for i, steps in enumerate(extent.lengths.tolist()):
            own = [(scale[i], shift[i]) for scale, shift in affines]
            item = Item(x[i], steps, self._moments(x[i], steps), own)
            for block in blocks:
                target = Target(out[i], factor=1 / len(blocks), add=True)
                self._snake_block(block, item, scratch, target)

    def _snake_block(self, block: SnakeBlock, item: Item, scratch: Tensor, target: Target) -> None:
        between, residual = scratch
        x, moments, steps = item.x, item.moments, item.steps
        inner, outer = torch.empty_like(moments), torch.empty_like(moments)
        pairs = list(zip(block.convs1, block.convs2, strict=True))
        for j, (conv1, conv2) in enumerate(pairs):
            k = j + len(pairs)
            norm = Norm(moments, *item.affines[block.affine + j], alpha=block.alphas[j])
            self._conv(conv1, x, steps, norm, Target(between, moments=inner))
            norm = Norm(inner, *item.affines[block.affine + k], alpha=block.alphas[k])
            step = Target(residual, x, moments=outer)
            if j == len(pairs) - 1:
                step = replace(target, residual=x)
            self._conv(conv2, between, steps, norm, step)
            x, moments = residual, outer

    def _moments(self, x: Tensor, steps: int) -> Tensor:
        moments = torch.empty(2, x.shape[-1])
        self._library.kc_statistics(
            x.data_ptr(), steps, x.shape[-1], moments[0].data_ptr(), moments[1].data_ptr()
        )
        return moments

    def _conv(self, conv: Conv, x: Tensor, steps: int, norm: Norm | None, target: Target) -> None:
        entering: list[int | float | None] = [None, None, None, None, PLAIN, 0.0, None]
        if norm is not None:
            entering = [
                _address(norm.moments[0]), _address(norm.moments[1]),
                _address(norm.scale), _address(norm.shift),
                LEAKY if norm.alpha is None else SNAKE, norm.slope, _address(norm.alpha),
            ]  # fmt: skip
        out, moments = target.out, target.moments
        library, weight = self._ready[conv]
        library.kc_conv(
            _address(x), steps, x.shape[-1], out.shape[-1], *entering,
            _address(weight), _address(conv.bias), conv.taps, conv.dilation,
            _address(target.residual), target.factor, int(target.add), _address(out),
            _address(None if moments is None else moments[0]),
            _address(None if moments is None else moments[1]),
        )  # fmt: skip


class HalfKernels(Kernels):
    """For a processor with bfloat16 matrix units: norm and activation in one pass, to bfloat16.

    The convolutions are torch's, which run on those units when their inputs lie in channels-last.
    """

    name = "native bfloat16"

    def __init__(self) -> None:
        """Build or load the library.

        Raises:
            OSError, subprocess.SubprocessError: there is no compiler, or it fails; the reason.
        """
        self._library = load_library(FILTERS["exact"][3])
        self._lanes: int = self._library.kc_lanes()

    def norm_leaky(self, x: Tensor, extent: Extent, affine: Affine, slope: float) -> Tensor:
        """Return leaky ReLU of the styled norm, (batch, time, channels), zero in the padding."""
        if x.shape[-1] % self._lanes:
            return super().norm_leaky(x, extent, affine, slope)
        return self._norm(x, extent, affine, (LEAKY, slope, None))

    def norm_snake(self, x: Tensor, extent: Extent, affine: Affine, alpha: Tensor) -> Tensor:
        """Return Snake of the styled norm, (batch, time, channels), zero in the padding."""
        if x.shape[-1] % self._lanes:
            return super().norm_snake(x, extent, affine, alpha)
        return self._norm(x, extent, affine, (SNAKE, 0.0, alpha))

    def _norm(
        self,
        x: Tensor,
        extent: Extent,
        affine: Affine,
        activation: tuple[int, float, Tensor | None],
    ) -> Tensor:
        x = x.contiguous()
        out = torch.zeros_like(x, dtype=torch.bfloat16)
        kind, slope, alpha = activation
        half = int(x.dtype == torch.bfloat16)
        for i, steps in enumerate(extent.lengths.tolist()):
            self._library.kc_norm_to_half(
                _address(x[i]), half, steps, x.shape[-1],
                _address(affine[0][i]), _address(affine[1][i]),
                kind, slope, _address(alpha), _address(out[i]),
            )  # fmt: skip
        return out


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
