"""How the vocoder's heavy steps are done: the plain form, which every device can run.

Subclasses do the same faster: `native` on a CPU with a C++ compiler, `triton_kernels` on CUDA.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional

from worker.engines.network.layers import Affine, Extent, normalise, snake

if TYPE_CHECKING:
    from worker.engines.network.vocoder import FrameBlock, SnakeBlock

SQRT_HALF = 0.5**0.5


class Kernels:
    """The plain form, in torch operations alone."""

    name = "eager"

    def norm_leaky(self, x: Tensor, extent: Extent, affine: Affine, slope: float) -> Tensor:
        """Return leaky ReLU of the styled norm, (batch, time, channels), zero in the padding."""
        return functional.leaky_relu(normalise(x, extent, affine), slope)

    def norm_snake(self, x: Tensor, extent: Extent, affine: Affine, alpha: Tensor) -> Tensor:
        """Return Snake of the styled norm, (batch, time, channels), zero in the padding.

        Args:
            x: (batch, time, channels).
            extent: of x.
            affine: scale and shift, (batch, channels) each.
            alpha: (channels,), in radians per unit.
        """
        return snake(normalise(x, extent, affine), alpha)

    def frame_block(
        self, block: "FrameBlock", x: Tensor, affines: list[Affine], extent: Extent
    ) -> Tensor:
        """Return upstream's `AdainResBlk1d`, zero in the padding.

        Args:
            block: which.
            x: (batch, time, in).
            affines: of the style bank that the block's two norms are in.
            extent: of x; of the result too, unless the block doubles the time.
        """
        y = self.norm_leaky(x, extent, affines[block.affine], block.slope)
        if block.doubles:
            y = block.widen(y)
            x = x.repeat_interleave(2, dim=1)
            extent = extent.scaled(2)
            y = extent.clear(y)
        y = block.conv1(y)
        y = block.conv2(self.norm_leaky(y, extent, affines[block.affine + 1], block.slope))
        if block.shortcut is not None:
            x = block.shortcut(x)
        return extent.clear((y + x) * SQRT_HALF)

    def snake_block(
        self, block: "SnakeBlock", x: Tensor, affines: list[Affine], extent: Extent
    ) -> Tensor:
        """Return one residual block's output; its padding is undefined."""
        pairs = len(block.convs1)
        for i, (conv1, conv2) in enumerate(zip(block.convs1, block.convs2, strict=True)):
            first, second = affines[block.affine + i], affines[block.affine + pairs + i]
            y = conv1(self.norm_snake(x, extent, first, block.alphas[i]))
            y = conv2(self.norm_snake(y, extent, second, block.alphas[pairs + i]))
            x = y + x
        return x

    def add_block(
        self,
        x: Tensor,
        block: "SnakeBlock",
        beside: Tensor,
        affines: list[Affine],
        extent: Extent,
    ) -> Tensor:
        """Return x plus one block's output for `beside`; both may be overwritten."""
        return x + self.mean_of_blocks([block], beside, affines, extent)

    def mean_of_blocks(
        self, blocks: Sequence["SnakeBlock"], x: Tensor, affines: list[Affine], extent: Extent
    ) -> Tensor:
        """Return the mean of several blocks' outputs for the same input."""
        outputs = [self.snake_block(block, x, affines, extent) for block in blocks]
        total = outputs[0]
        for output in outputs[1:]:
            total = total + output
        return total / len(outputs)
