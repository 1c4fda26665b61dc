"""Run by `test_triton_kernels.py` with TRITON_INTERPRET=1: compares with float64."""

import math

import torch
from torch import Tensor, nn

from worker.engines.network.kernels import Kernels
from worker.engines.network.layers import Affine, Conv, Extent, Modules
from worker.engines.network.triton_kernels import TritonKernels

torch.set_num_threads(1)
DRAWS = torch.Generator().manual_seed(5)
WITHIN = {torch.float32: 2e-6, torch.float16: 2e-3}
"""Relative error, by norm."""


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=DRAWS)


def make_extent(lengths: list[int], width: int) -> Extent:
    return Extent(torch.tensor(lengths), width, full=lengths == [width] * len(lengths))


def poison(x: Tensor, extent: Extent) -> Tensor:
    """Return x with what must never be read in its padding."""
    if extent.mask is None:
        return x
    evil = torch.full_like(x, float("nan"))
    evil[:, ::2] = 6e4
    return torch.where(extent.mask, x, evil)


def double(affine: Affine) -> Affine:
    return affine[0].double(), affine[1].double()


def check(got: Tensor, right: Tensor, within: float, what: str) -> None:
    error = float((got.double() - right).norm() / right.norm())
    assert error <= within, f"{what}: {error}"


def check_norms(lengths: list[int], width: int, channels: int, dtype: torch.dtype) -> None:
    plain, kernels = Kernels(), TritonKernels()
    extent = make_extent(lengths, width)
    x = (draw(len(lengths), width, channels) * 3 + 2).to(dtype)
    # As the style bank gives them: parts of wider rows.
    styles = draw(len(lengths), 2 * channels + 12)
    affine = styles[:, :channels], styles[:, channels : 2 * channels]
    alpha = draw(channels).abs() + 0.2
    what = f"{lengths} of {width} x {channels} in {dtype}"
    right = plain.norm_snake(x.double(), extent, double(affine), alpha.double())
    got = kernels.norm_snake(poison(x, extent), extent, affine, alpha)
    assert got.dtype == dtype
    check(got, right, WITHIN[dtype], f"snake, {what}")
    right = plain.norm_leaky(x.double(), extent, double(affine), 0.2)
    got = kernels.norm_leaky(poison(x, extent), extent, affine, 0.2)
    check(got, right, WITHIN[dtype], f"leaky, {what}")
    assert extent.mask is None or not got.masked_select(~extent.mask).any()


class Block(nn.Module):
    """What the kernels use of a residual block."""

    def __init__(self, channels: int, first_affine: int) -> None:
        super().__init__()
        self.affine = first_affine
        self.convs1 = Modules(
            Conv(nn.Conv1d(channels, channels, 3, dilation=d, padding=d)) for d in (1, 3, 5)
        )
        self.convs2 = Modules(Conv(nn.Conv1d(channels, channels, 3, padding=1)) for _ in range(3))
        self.alphas = nn.Buffer(draw(6, channels).abs() + 0.2)


def check_blocks(branches: int, dtype: torch.dtype) -> None:
    channels, width, lengths = 20, 150, [150, 40, 129]
    extent = make_extent(lengths, width)
    torch.manual_seed(branches)
    blocks = [Block(channels, 6 * i) for i in range(branches)]
    x = draw(3, width, channels)
    affines = [(draw(3, channels), draw(3, channels)) for _ in range(6 * branches)]
    right = Kernels().mean_of_blocks(
        [block.double() for block in blocks],  # type: ignore[misc]
        x.to(dtype).double(),
        [double(affine) for affine in affines],
        extent,
    )
    for block in blocks:
        block.float()
        for conv in (*block.convs1, *block.convs2):
            conv.to(dtype)
    before = x.to(dtype)
    given = poison(before, extent)
    untouched = given.clone()
    got = TritonKernels().mean_of_blocks(blocks, given, affines, extent)  # type: ignore[arg-type]
    # A block rounds many times; in float16 the errors of eighteen convolutions add up.
    within = {torch.float32: 2e-6, torch.float16: 5e-3}[dtype]
    check(got, extent.clear(right), within, f"{branches} blocks in {dtype}")
    assert torch.equal(given.nan_to_num(7.0), untouched.nan_to_num(7.0)), "the input was changed"


def check_sine() -> None:
    """Snake alone, over a range no model reaches: one step, so that the norm is the shift."""
    kernels = TritonKernels()
    shift = torch.linspace(-300.0, 300.0, 4096).unsqueeze(0)
    extent = make_extent([1], 1)
    alpha = torch.full((4096,), 2.0)
    got = kernels.norm_snake(torch.zeros(1, 1, 4096), extent, (shift, shift), alpha)
    right = shift.double() + torch.sin(shift.double() * 2).square() / 2
    assert float((got[:, 0] - right).abs().max()) <= 5e-5, "sine"  # of 300 a float32 knows 3e-5
    small = shift / (300 / math.pi)
    got = kernels.norm_snake(torch.zeros(1, 1, 4096), extent, (small, small), alpha)
    right = small.double() + torch.sin(small.double() * 2).square() / 2
    assert float((got[:, 0] - right).abs().max()) <= 5e-7, "sine, small"


def main() -> None:
    for dtype in WITHIN:
        check_norms([300], 300, 128, dtype)
        check_norms([131, 1, 130, 64], 131, 24, dtype)
        check_norms([5, 129], 129, 130, dtype)
        check_blocks(3, dtype)
    check_norms([5000, 4096], 5000, 16, torch.float32)  # more chunks than are merged at a time
    check_blocks(1, torch.float32)
    check_sine()
    print("agree")


if __name__ == "__main__":
    with torch.no_grad():
        main()
