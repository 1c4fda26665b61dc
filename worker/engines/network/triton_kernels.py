"""The vocoder's norm, Snake and residual as hand-written Triton kernels, for CUDA.

Where the plain form reads and writes a tensor some ten times between two convolutions, these read
it twice and write it once: one pass for the moments (into which the residual addition that comes
before is folded), one for scale, shift, Snake and mask, written in the convolution's own type.

Sizes are fixed, so nothing is tuned; each kernel is compiled once for each number of channels and
type, when the runner warms up, and never for a new length or batch. A convolution's bias costs a
pass with cuDNN: before a norm it is left out, since the norm takes any constant away, and
elsewhere it is added with the residual. With TRITON_INTERPRET=1 in the environment before the
import, the same code runs on a CPU in Triton's interpreter, which is how the tests run it.
"""

# Triton has no types, and reads an annotation of a kernel's argument as its own.
# mypy: disable-error-code="no-untyped-def,untyped-decorator,no-untyped-call"

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from worker.engines.network.kernels import Kernels
from worker.engines.network.layers import NORM_EPS, Affine, Extent

if TYPE_CHECKING:
    from worker.engines.network.vocoder import SnakeBlock

BLOCK = 128
"""Channels a program handles: the generator has 256 and 128."""
TILE = 32
"""Steps at a time: 32 x 128 values are 32 registers of float32 for each of 128 threads."""
TILES = 4
"""Tiles of one program of the moments: 128 steps are 32 KiB in 16 bits, read in a few µs, and two
seconds of speech still make 75 programs at 4 800 steps a second."""
GROUP = 32
"""Chunks of moments merged at a time."""
WARPS = 4

_LEAKY, _SNAKE = 0, 1


@triton.jit
def _sine_squared(z):
    """Return sin²(z), to 2e-7 for |z| up to 1e4, without the branches of a general sine.

    The square has period π, so z is reduced to [−π/2, π/2] with π in two parts (Cody and Waite
    1980); what remains is sine's Taylor series to the 11th power, off by at most 6e-8 there.
    """
    turns = tl.floor(z * 0.3183098861837907 + 0.5)
    z = z - turns * 3.1415927410125732  # π as a float32
    z = z + turns * 8.742277657347586e-08  # and by how much that is too large
    square = z * z
    series = -2.505210838544172e-08
    series = series * square + 2.7557319223985893e-06
    series = series * square - 1.984126984126984e-04
    series = series * square + 8.333333333333333e-03
    series = series * square - 1.6666666666666666e-01
    sine = z + z * square * series
    return sine * sine


@triton.jit(do_not_specialize=["steps", "chunks"], do_not_specialize_on_alignment=["lengths_at"])
def _moments_kernel(  # noqa: PLR0917
    x_at, y_at, bias_at, sum_at, partial_at, lengths_at, steps, chunks,
    CHANNELS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, TIMES: tl.constexpr,
    ADD: tl.constexpr,
):  # fmt: skip
    """Write each chunk's mean and sum of squared deviations; with ADD, of sum = x + y + bias.

    Deviations are from the tile's own mean, and tiles are merged as Chan, Golub and LeVeque (1983)
    do, so a mean far from zero costs no digits. Steps beyond an item's length are never read.
    """
    chunk, item = tl.program_id(0), tl.program_id(1)
    channel = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    inside = channel < CHANNELS
    length = tl.load(lengths_at + item).to(tl.int32)
    base = item.to(tl.int64) * steps * CHANNELS
    first = chunk * (ROWS * TIMES)
    mean = tl.zeros([COLUMNS], dtype=tl.float32)
    squares = tl.zeros([COLUMNS], dtype=tl.float32)
    for tile in range(TIMES):
        row = first + tile * ROWS + tl.arange(0, ROWS)
        real = (row < length)[:, None] & inside[None, :]
        place = base + row[:, None] * CHANNELS + channel[None, :]
        value = tl.load(x_at + place, mask=real, other=0.0).to(tl.float32)
        if ADD:
            bias = tl.load(bias_at + channel, mask=inside, other=0.0).to(tl.float32)
            other = tl.load(y_at + place, mask=real, other=0.0).to(tl.float32)
            kept = (value + other + bias[None, :]).to(sum_at.dtype.element_ty)
            tl.store(sum_at + place, kept, mask=real)
            value = tl.where(real, kept.to(tl.float32), 0.0)
        before = tl.minimum(tl.maximum(length - first, 0), tile * ROWS).to(tl.float32)
        new = tl.minimum(tl.maximum(length - first - tile * ROWS, 0), ROWS).to(tl.float32)
        after = tl.maximum(before + new, 1.0)
        here = tl.sum(value, axis=0) / tl.maximum(new, 1.0)
        apart = tl.where(real, value - here[None, :], 0.0)
        step = here - mean
        mean += step * (new / after)
        squares += tl.sum(apart * apart, axis=0) + step * step * (before * new / after)
    row_at = partial_at + (item * chunks + chunk).to(tl.int64) * (2 * CHANNELS)
    tl.store(row_at + channel, mean, mask=inside)
    tl.store(row_at + CHANNELS + channel, squares, mask=inside)


@triton.jit(
    do_not_specialize=["chunks", "scale_stride", "shift_stride"],
    do_not_specialize_on_alignment=["lengths_at"],
)
def _affine_kernel(  # noqa: PLR0917
    partial_at, lengths_at, scale_at, shift_at, gain_at, offset_at,
    chunks, scale_stride, shift_stride, eps,
    CHANNELS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHUNKS: tl.constexpr,
):  # fmt: skip
    """Merge the chunks' moments and write gain and offset, so that the norm is gain·x + offset."""
    item = tl.program_id(0)
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = channel < CHANNELS
    length = tl.load(lengths_at + item).to(tl.int32)
    count = tl.maximum(length, 1).to(tl.float32)
    base = item.to(tl.int64) * chunks * (2 * CHANNELS)
    total = tl.zeros([COLUMNS], dtype=tl.float32)
    for start in range(0, chunks, CHUNKS):
        chunk = start + tl.arange(0, CHUNKS)
        share = tl.minimum(tl.maximum(length - chunk * ROWS, 0), ROWS).to(tl.float32)
        real = (share > 0)[:, None] & inside[None, :]
        place = base + chunk[:, None] * (2 * CHANNELS) + channel[None, :]
        own = tl.load(partial_at + place, mask=real, other=0.0)
        total += tl.sum(own * (share / count)[:, None], axis=0)
    squares = tl.zeros([COLUMNS], dtype=tl.float32)
    for start in range(0, chunks, CHUNKS):
        chunk = start + tl.arange(0, CHUNKS)
        share = tl.minimum(tl.maximum(length - chunk * ROWS, 0), ROWS).to(tl.float32)
        real = (share > 0)[:, None] & inside[None, :]
        place = base + chunk[:, None] * (2 * CHANNELS) + channel[None, :]
        own = tl.load(partial_at + place, mask=real, other=0.0)
        within = tl.load(partial_at + place + CHANNELS, mask=real, other=0.0)
        apart = tl.where(real, own - total[None, :], 0.0)
        squares += tl.sum(within + apart * apart * share[:, None], axis=0)
    scale = tl.load(scale_at + item * scale_stride + channel, mask=inside, other=0.0)
    shift = tl.load(shift_at + item * shift_stride + channel, mask=inside, other=0.0)
    gain = scale.to(tl.float32) / tl.sqrt(squares / count + eps)
    tl.store(gain_at + item * CHANNELS + channel, gain, mask=inside)
    tl.store(
        offset_at + item * CHANNELS + channel, shift.to(tl.float32) - total * gain, mask=inside
    )


@triton.jit(do_not_specialize=["steps"], do_not_specialize_on_alignment=["lengths_at"])
def _apply_kernel(  # noqa: PLR0917
    x_at, gain_at, offset_at, alpha_at, out_at, lengths_at, steps, slope,
    CHANNELS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, ACTIVATION: tl.constexpr,
):  # fmt: skip
    """Write the activation of gain·x + offset, zero beyond an item's length."""
    item = tl.program_id(1)
    channel = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    inside = channel < CHANNELS
    length = tl.load(lengths_at + item).to(tl.int32)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    real = (row < length)[:, None] & inside[None, :]
    place = item.to(tl.int64) * steps * CHANNELS + row[:, None] * CHANNELS + channel[None, :]
    value = tl.load(x_at + place, mask=real, other=0.0).to(tl.float32)
    gain = tl.load(gain_at + item * CHANNELS + channel, mask=inside, other=0.0)
    offset = tl.load(offset_at + item * CHANNELS + channel, mask=inside, other=0.0)
    value = value * gain[None, :] + offset[None, :]
    if ACTIVATION == 1:
        alpha = tl.load(alpha_at + channel, mask=inside, other=1.0).to(tl.float32)
        value += _sine_squared(value * alpha[None, :]) / alpha[None, :]
    else:
        value = tl.where(value >= 0.0, value, value * slope)
    value = tl.where(real, value, 0.0)
    written = (row < steps)[:, None] & inside[None, :]
    tl.store(out_at + place, value.to(out_at.dtype.element_ty), mask=written)


@triton.jit(do_not_specialize=["steps"], do_not_specialize_on_alignment=["lengths_at"])
def _sum_kernel(  # noqa: PLR0917
    x_at, y_at, bias_at, total_at, out_at, lengths_at, steps, factor,
    CHANNELS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, MORE: tl.constexpr,
):  # fmt: skip
    """Write (total + x + y + bias) · factor, zero beyond an item's length; `out` may be `total`."""
    item = tl.program_id(1)
    channel = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    inside = channel < CHANNELS
    length = tl.load(lengths_at + item).to(tl.int32)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    real = (row < length)[:, None] & inside[None, :]
    place = item.to(tl.int64) * steps * CHANNELS + row[:, None] * CHANNELS + channel[None, :]
    bias = tl.load(bias_at + channel, mask=inside, other=0.0).to(tl.float32)
    value = tl.load(x_at + place, mask=real, other=0.0).to(tl.float32)
    value += tl.load(y_at + place, mask=real, other=0.0).to(tl.float32) + bias[None, :]
    if MORE:
        value += tl.load(total_at + place, mask=real, other=0.0).to(tl.float32)
    value = tl.where(real, value * factor, 0.0)
    written = (row < steps)[:, None] & inside[None, :]
    tl.store(out_at + place, value.to(out_at.dtype.element_ty), mask=written)


class TritonKernels(Kernels):
    """The plain form's results in a third of its memory traffic; float64 takes the plain form."""

    name = "triton"

    def norm_leaky(self, x: Tensor, extent: Extent, affine: Affine, slope: float) -> Tensor:
        """Return leaky ReLU of the styled norm in x's own type, zero in the padding."""
        if x.dtype == torch.float64:
            return super().norm_leaky(x, extent, affine, slope)
        x = x.contiguous()
        norm = self._affine(self._moments(x, extent), x, extent, affine)
        return self._apply(x, norm, extent, x.dtype, slope=slope)

    def norm_snake(self, x: Tensor, extent: Extent, affine: Affine, alpha: Tensor) -> Tensor:
        """Return Snake of the styled norm in x's own type, zero in the padding."""
        if x.dtype == torch.float64:
            return super().norm_snake(x, extent, affine, alpha)
        x = x.contiguous()
        norm = self._affine(self._moments(x, extent), x, extent, affine)
        return self._apply(x, norm, extent, x.dtype, alpha=alpha)

    def snake_block(
        self, block: "SnakeBlock", x: Tensor, affines: list[Affine], extent: Extent
    ) -> Tensor:
        """Return one residual block's output, zero in the padding."""
        return self.mean_of_blocks([block], x, affines, extent)

    def mean_of_blocks(
        self, blocks: Iterable["SnakeBlock"], x: Tensor, affines: list[Affine], extent: Extent
    ) -> Tensor:
        """Return the mean of several blocks' outputs for the same input, zero in the padding.

        The moments of their common input are taken once, and each block's last addition goes
        straight into the sum.
        """
        blocks = list(blocks)
        biases = [conv.bias for block in blocks for conv in block.convs2]
        if x.dtype == torch.float64 or any(bias is None for bias in biases):
            plain = Kernels()
            return plain.mean_of_blocks(blocks, x, affines, extent)
        x = x.contiguous()
        entering = self._moments(x, extent)
        total: Tensor | None = None
        for number, block in enumerate(blocks, 1):
            factor = 1 / len(blocks) if number == len(blocks) else 1.0
            last, y, bias = self._inside(block, x, entering, affines, extent)
            total = self._sum(last, y, bias, total, extent, factor)
        assert total is not None  # noqa: S101 - there is a block
        return total

    def _inside(
        self,
        block: "SnakeBlock",
        x: Tensor,
        moments: Tensor,
        affines: list[Affine],
        extent: Extent,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the last addition adds: the residual, the last product and its bias."""
        pairs = len(block.convs1)
        residual, y, bias = x, x, x
        for i, (conv1, conv2) in enumerate(zip(block.convs1, block.convs2, strict=True)):
            if i:
                into = torch.empty_like(x) if residual is x else residual
                moments = self._moments(residual, extent, y, bias, into)
                residual = into
            first, second = affines[block.affine + i], affines[block.affine + pairs + i]
            norm = self._affine(moments, residual, extent, first)
            y = self._apply(residual, norm, extent, conv1.weight.dtype, alpha=block.alphas[i])
            y = conv1.without_bias(y).contiguous()  # a norm follows
            norm = self._affine(self._moments(y, extent), y, extent, second)
            y = self._apply(y, norm, extent, conv2.weight.dtype, alpha=block.alphas[pairs + i])
            y = conv2.without_bias(y).contiguous()
            assert conv2.bias is not None  # noqa: S101 - asked before
            bias = conv2.bias
        return residual, y, bias

    def _moments(
        self,
        x: Tensor,
        extent: Extent,
        y: Tensor | None = None,
        bias: Tensor | None = None,
        into: Tensor | None = None,
    ) -> Tensor:
        """Return moments, float32 (batch, chunks, 2, channels), of x, or of `into` = x + y + bias.

        `into` may be x; its padding is left as it was.
        """
        batch, steps, channels = x.shape
        chunks = triton.cdiv(steps, TILE * TILES)
        partial = torch.empty(batch, chunks, 2, channels, dtype=torch.float32, device=x.device)
        add = y is not None
        _moments_kernel[chunks, batch, triton.cdiv(channels, BLOCK)](
            x, y if add else x, bias if add else x, into if add else x, partial, extent.lengths,
            steps, chunks, CHANNELS=channels, ROWS=TILE, COLUMNS=BLOCK, TIMES=TILES, ADD=add,
            num_warps=WARPS,
        )  # fmt: skip
        return partial

    def _affine(self, moments: Tensor, x: Tensor, extent: Extent, affine: Affine) -> Affine:
        """Return gain and offset, float32 (batch, channels) each, aligned as any allocation."""
        batch, chunks, _, channels = moments.shape
        scale, shift = affine
        gain = torch.empty(batch, channels, dtype=torch.float32, device=x.device)
        offset = torch.empty_like(gain)
        _affine_kernel[batch, triton.cdiv(channels, BLOCK)](
            moments, extent.lengths, scale, shift, gain, offset,
            chunks, scale.stride(0), shift.stride(0), NORM_EPS,
            CHANNELS=channels, ROWS=TILE * TILES, COLUMNS=BLOCK, CHUNKS=GROUP, num_warps=WARPS,
        )  # fmt: skip
        return gain, offset

    def _apply(
        self,
        x: Tensor,
        norm: Affine,
        extent: Extent,
        dtype: torch.dtype,
        *,
        alpha: Tensor | None = None,
        slope: float = 0.0,
    ) -> Tensor:
        """Return Snake of gain·x + offset, or leaky ReLU where no alpha is given."""
        batch, steps, channels = x.shape
        out = torch.empty(batch, steps, channels, dtype=dtype, device=x.device)
        _apply_kernel[triton.cdiv(steps, TILE), batch, triton.cdiv(channels, BLOCK)](
            x, *norm, norm[0] if alpha is None else alpha, out, extent.lengths,
            steps, slope, CHANNELS=channels, ROWS=TILE, COLUMNS=BLOCK,
            ACTIVATION=_LEAKY if alpha is None else _SNAKE, num_warps=WARPS,
        )  # fmt: skip
        return out

    def _sum(  # noqa: PLR0917
        self,
        x: Tensor,
        y: Tensor,
        bias: Tensor,
        total: Tensor | None,
        extent: Extent,
        factor: float,
    ) -> Tensor:
        """Return (total + x + y + bias) · factor; a total that is given is overwritten."""
        batch, steps, channels = x.shape
        out = torch.empty_like(x) if total is None else total
        _sum_kernel[triton.cdiv(steps, TILE), batch, triton.cdiv(channels, BLOCK)](
            x, y, bias, out, out, extent.lengths, steps, factor,
            CHANNELS=channels, ROWS=TILE, COLUMNS=BLOCK, MORE=total is not None, num_warps=WARPS,
        )  # fmt: skip
        return out
