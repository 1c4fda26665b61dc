"""The parts that the text side and the vocoder share.

In and out: tensors (batch, time, channels), contiguous, padded on the right of each item.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

M = TypeVar("M", bound=nn.Module)

NORM_EPS = 1e-5
"""Of upstream's `InstanceNorm1d`, inside the root."""


@contextmanager
def full_float32() -> Iterator[None]:
    """Keep cuDNN's convolutions and LSTMs of float32 out of TF32 within; a CPU is not touched.

    torch allows cuDNN TF32 by default, in its LSTMs too (`torch.backends.cudnn.rnn`), which reads
    10 of 23 bits of each factor. A duration near a half would round the other way, and a pitch off
    by a thousandth turns the phase by a whole period within seconds. (Upstream leaves the default.)
    Not `torch.backends.cudnn.flags()`: it switches cuDNN off unless told otherwise.
    """
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed


class Modules(nn.ModuleList, Generic[M]):
    """A list of modules that knows what they are."""

    def __init__(self, modules: Iterable[M] = ()) -> None:
        super().__init__(modules)

    def __iter__(self) -> Iterator[M]:
        """Iterate over the modules themselves."""
        return cast("Iterator[M]", super().__iter__())


class Extent:
    """How much of a padded batch is real.

    Attributes:
        lengths: int64, (batch,), real steps of each item.
        width: steps of the padded tensor.
        mask: bool, (batch, width, 1), true where real; None if nothing is padded.
    """

    def __init__(self, lengths: Tensor, width: int, *, full: bool) -> None:
        """Describe a batch.

        Args:
            lengths: int64, (batch,).
            width: steps of the padded tensor.
            full: the caller knows on the host that every item is `width` long.
        """
        self.lengths = lengths
        self.width = width
        self.full = full
        self.mask: Tensor | None = None
        if not full:
            steps = torch.arange(width, device=lengths.device)
            self.mask = (steps < lengths[:, None]).unsqueeze(-1)

    def scaled(self, factor: int, extra: int = 0) -> "Extent":
        """Return the extent of a tensor with `factor * steps + extra` steps."""
        return Extent(self.lengths * factor + extra, self.width * factor + extra, full=self.full)

    def clear(self, x: Tensor) -> Tensor:
        """Return `x`, (batch, width, channels), with zeros in the padding."""
        return x if self.mask is None else x.masked_fill(~self.mask, 0.0)


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x·weightᵀ + bias, (batch, time, out), of x (batch, time, in), weight (out, in).

    For what is a convolution upstream: in float32 on CUDA it is one here too, of one tap, because
    there cuDNN may use TF32 and torch's matrix products may not.
    """
    if x.is_cuda and x.dtype == torch.float32:
        image = functional.conv2d(x.mT.unsqueeze(2), weight[:, :, None, None], bias)
        return image.squeeze(2).mT.contiguous()
    return functional.linear(x, weight, bias)


class Conv(nn.Module):
    """A 1-D convolution over (batch, time, channels), run as a 2-D one in channels-last.

    Its weight lies as (out, in, 1, taps) in channels-last, so that no call lays it out anew.
    """

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        if not isinstance(conv, nn.Conv1d) or conv.groups != 1:
            raise ValueError(f"{conv} is not a plain Conv1d")
        self.stride, self.padding, self.dilation = (
            conv.stride[0],
            int(conv.padding[0]),
            conv.dilation[0],
        )
        weight = conv.weight.detach().unsqueeze(2).contiguous(memory_format=torch.channels_last)
        self.weight = nn.Buffer(weight)
        self.taps: int = conv.kernel_size[0]
        self.bias = None if conv.bias is None else nn.Buffer(conv.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (batch, time, in) to (batch, time', out), in the weight's dtype."""
        if self.taps == 1 and self.stride == 1:
            return product(x.to(self.weight.dtype), self.weight[:, :, 0, 0], self.bias)
        return self._convolve(x, self.bias)

    def without_bias(self, x: Tensor) -> Tensor:
        """Convolve as `forward` does, but leave the bias to the caller.

        With cuDNN a bias is a pass of its own over the output.
        """
        return self._convolve(x, None)

    def _convolve(self, x: Tensor, bias: Tensor | None) -> Tensor:
        y = functional.conv2d(
            x.to(self.weight.dtype).permute(0, 2, 1).unsqueeze(2),
            self.weight,
            bias,
            (1, self.stride),
            (0, self.padding),
            (1, self.dilation),
        )
        return y.squeeze(2).permute(0, 2, 1)


class Upsampler(nn.Module):
    """A transposed convolution as one matrix product.

    Upstream's have stride u and either u or 2u taps. With 2u, output step u·t + j takes tap j of
    input step t and tap j + u of step t - 1: so a row of all u outputs is one product of two
    neighbouring inputs, and the product's result is the output as it lies in memory.
    """

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        if not isinstance(conv, nn.ConvTranspose1d) or conv.groups != 1 or conv.bias is None:
            raise ValueError(f"{conv} is not a plain ConvTranspose1d")
        self.rate, taps = conv.stride[0], conv.kernel_size[0]
        self.overlaps = taps == 2 * self.rate
        self.crop = int(conv.padding[0])
        if taps not in {self.rate, 2 * self.rate} or self.crop != (taps - self.rate) // 2:
            raise ValueError(f"{taps} taps at stride {self.rate}")
        self.channels = conv.out_channels
        # (in, out, taps) → (rate · out, in of step t - 1 and in of step t), as a linear layer.
        weight = conv.weight.detach().permute(2, 1, 0)
        if self.overlaps:
            weight = torch.cat([weight[self.rate :], weight[: self.rate]], dim=-1)
        self.weight = nn.Buffer(weight.reshape(self.rate * self.channels, -1).contiguous())
        self.bias = nn.Buffer(conv.bias.detach().repeat(self.rate))

    def forward(self, x: Tensor) -> Tensor:
        """Upsample (batch, time, in) to (batch, rate · time, out); padding must be zero."""
        batch, steps, _ = x.shape
        x = x.to(self.weight.dtype)
        if self.overlaps:
            x = functional.pad(x, (0, 0, 1, 1))
            x = torch.cat([x[:, :-1], x[:, 1:]], dim=-1)
        whole = product(x, self.weight, self.bias).view(batch, -1, self.channels)
        return whole[:, self.crop : self.crop + steps * self.rate]


class BiLstm(nn.Module):
    """A bidirectional LSTM whose backward direction never reads an item's padding.

    The backward direction runs forwards over each item reversed within its own length, so every
    shape is static and no length is needed on the host.

    Attributes:
        side: a second CUDA stream, for the backward direction; None: one after the other.
    """

    side: "torch.cuda.Stream | None" = None

    def __init__(self, lstm: nn.Module) -> None:
        super().__init__()
        if not isinstance(lstm, nn.LSTM) or not lstm.bidirectional or lstm.num_layers != 1:
            raise ValueError(f"{lstm} is not one bidirectional layer")
        self.ahead = _one_way(lstm, "")
        self.back = _one_way(lstm, "_reverse")

    def forward(self, x: Tensor, extent: Extent) -> Tensor:
        """Return (batch, time, 2 · hidden) of (batch, time, in); undefined in the padding."""
        if self.side is None:
            ahead, _ = self.ahead(x)
            return torch.cat([ahead, self._backwards(x, extent)], dim=-1)
        # Both streams wait for each other at either end, so neither may reuse memory that the
        # other still reads, and a capture into a graph sees a fork and its join.
        main = torch.cuda.current_stream(x.device)
        self.side.wait_stream(main)
        with torch.cuda.stream(self.side):
            back = self._backwards(x, extent)
        ahead, _ = self.ahead(x)
        main.wait_stream(self.side)
        return torch.cat([ahead, back], dim=-1)

    def _backwards(self, x: Tensor, extent: Extent) -> Tensor:
        if extent.full:
            back: Tensor = self.back(x.flip(1))[0]
            return back.flip(1)
        steps = torch.arange(extent.width, device=x.device)
        mirror = (extent.lengths[:, None] - 1 - steps).clamp(min=0).unsqueeze(-1)
        back = self.back(x.gather(1, mirror.expand(-1, -1, x.shape[-1])))[0]
        return back.gather(1, mirror.expand(-1, -1, back.shape[-1]))


def _one_way(lstm: nn.LSTM, suffix: str) -> nn.LSTM:
    with torch.device("meta"):
        way = nn.LSTM(lstm.input_size, lstm.hidden_size, batch_first=True)
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        value = getattr(lstm, name + suffix).detach()
        setattr(way, name, nn.Parameter(value, requires_grad=False))
    return way


class StyleBank(nn.Module):
    """Every AdaIN's scale and shift from a style, in one matrix product.

    Upstream's AdaIN is (1 + γ)·(w·x̂ + b) + β with γ, β = fc(style) and x̂ the normalised input:
    that is scale·x̂ + shift with scale = (1 + γ)·w and shift = (1 + γ)·b + β.
    """

    def __init__(self, adains: Sequence[Any]) -> None:
        super().__init__()
        self.sizes = [adain.norm.num_features for adain in adains]
        halves = [adain.fc.weight.detach().chunk(2) for adain in adains]
        biases = [adain.fc.bias.detach().chunk(2) for adain in adains]
        self.weight = nn.Buffer(torch.cat([h[0] for h in halves] + [h[1] for h in halves]))
        self.bias = nn.Buffer(torch.cat([b[0] for b in biases] + [b[1] for b in biases]))
        self.norm_weight = nn.Buffer(torch.cat([a.norm.weight.detach() for a in adains]))
        self.norm_bias = nn.Buffer(torch.cat([a.norm.bias.detach() for a in adains]))

    def forward(self, style: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return (scale, shift), each (batch, channels), for every AdaIN in order."""
        gain, shift = functional.linear(style, self.weight, self.bias).chunk(2, dim=-1)
        gain = gain + 1
        scale, shift = gain * self.norm_weight, torch.addcmul(shift, gain, self.norm_bias)
        return list(
            zip(torch.split(scale, self.sizes, -1), torch.split(shift, self.sizes, -1), strict=True)
        )


Affine = tuple[Tensor, Tensor]
"""A style's (scale, shift) for one AdaIN, each (batch, channels)."""


def normalise(x: Tensor, extent: Extent, affine: Affine) -> Tensor:
    """Return scale·(x − mean)/√(variance + ε) + shift, with zeros in the padding.

    Mean and biased variance are over each item's own steps, two passes, and in at least float32.
    """
    scale, shift = affine
    wide = x if x.dtype == torch.float64 else x.float()
    if extent.mask is None:
        variance, mean = torch.var_mean(wide, dim=1, correction=0, keepdim=True)
    else:
        count = extent.lengths.view(-1, 1, 1).to(wide.dtype)
        mean = extent.clear(wide).sum(1, keepdim=True) / count
        variance = extent.clear(wide - mean).square().sum(1, keepdim=True) / count
    gain = scale.unsqueeze(1) * torch.rsqrt(variance + NORM_EPS)
    return extent.clear(torch.addcmul(shift.unsqueeze(1) - mean * gain, wide, gain))


def snake(x: Tensor, alpha: Tensor) -> Tensor:
    """Return x + sin²(α·x)/α: Ziyin et al. 2020, with a learned α for each channel."""
    return x + torch.sin(x * alpha).square() / alpha
