"""Running the network on a CUDA device: in batches of alike lengths, in few shapes, never idle.

    text ──▶ durations to the host ──▶ speech of share 1 ──▶ speech of share 2 ──▶ …
             (the only wait)                   copy of share 1 to the host ↗

Shapes come from a ladder, since cuDNN plans each new shape anew: some hundred milliseconds for this
network. Short batches replay CUDA graphs. Whatever could fail on a device (Triton, graphs) is tried
when the runner is made, never within a request, and has a plain form to fall back on.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from worker.engines.base import SegmentAudio
from worker.engines.copies import Copies, CudaCopies, PlainCopies
from worker.engines.facts import FRAME_SAMPLES, PACK_COLUMNS
from worker.engines.graphs import Call, CudaRecorder, Graphs, Recorder, Shape, Tensors
from worker.engines.network.kernels import Kernels
from worker.engines.network.layers import BiLstm, Extent, normalise, snake
from worker.engines.network.network import HARMONICS, Network, Spoken
from worker.engines.runner import Prepared, draw_noise, pad_tokens

log = logging.getLogger(__name__)

BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 40, 48, 56, 64)
"""Items of a computed batch: the rest of a rung is filled with items whose result is dropped."""
RUNGS_AN_OCTAVE = 8
"""Widths of a computed batch: at most an eighth above what is needed, a sixteenth on average."""
LEAST_STEP = 8

SHARE_FRAMES = 16_000
"""Frames computed at once, 400 s: some 130 ms at the targets. More gains nothing, and others wait
longer."""
SHARE_TOKENS = 64 * 512
LAUNCH_FRAMES = 800
"""What a computed batch costs besides its frames, in frames: launching takes about 10 ms, in which
20 s are spoken at 2 000 s a second. Reckoned, not measured."""
LAUNCH_TOKENS = 1_000
FRAME_BYTES = {"exact": 1_500_000, "fast": 1_000_000}
"""Device memory of a frame in flight, generously: about 12 tensors of 4 800 x 128 values a second
in the last stage, and the source. Reckoned, not measured; the benchmark prints the real peak."""
MEMORY_SHARE = 0.5

BATCH_MOST = 64
BATCH_PHONEMES = 5_600
"""About 330 s of speech at 17 phonemes a second."""
PHONEME_FRAMES = 2.4

GRAPH_BATCHES = (1, 2, 4)
GRAPH_FRAMES = (48, 64, 80, 96, 128, 160, 192, 224, 256, 320, 400)
"""Up to ten seconds. Coarser than the ladder: so short a batch takes as long as its launches."""
GRAPH_TOKENS = (16, 24, 32, 48, 64, 96, 128, 192)
WARM_UP_S = 20.0
"""Within this captures may begin; a child has `KC_MODEL_LOAD_TIMEOUT_S` to load in all."""


def rung(needed: int) -> int:
    """Return the least width of the ladder that holds `needed` steps."""
    step = max(LEAST_STEP, (1 << (needed - 1).bit_length()) // (2 * RUNGS_AN_OCTAVE))
    return -(-needed // step) * step


def batch_rung(needed: int) -> int:
    """Return the least batch size of the ladder that holds `needed` items."""
    return next((size for size in BATCHES if size >= needed), needed)


@dataclass(frozen=True)
class Share:
    """Items computed together.

    Attributes:
        rows: which of the batch, the longest first.
        batch: items computed, with those that fill up.
        width: steps computed.
    """

    rows: tuple[int, ...]
    batch: int
    width: int


def share_out(lengths: Sequence[int], *, most: int, launch: int) -> list[Share]:
    """Part a batch so that padding and launches together cost least.

    Items are sorted by length, so a share's members are alike; where a longer share would pad
    more than another launch costs, it is cut. By dynamic programming over where to cut.

    Args:
        lengths: steps of each item, at least 1.
        most: steps times items of one share; a single item may be longer.
        launch: what a share costs besides its steps, in steps.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    best: list[tuple[int, int]] = [(0, 0)] * (len(order) + 1)  # cost from here on, share's size
    for start in range(len(order) - 1, -1, -1):
        width = rung(lengths[order[start]])
        remain = len(order) - start
        options = []
        for size in {size for size in BATCHES if size < remain} | {min(remain, BATCHES[-1])}:
            area = batch_rung(size) * width
            if size == 1 or area <= most:
                options.append((launch + area + best[start + size][0], size))
        best[start] = min(options)
    shares, start = [], 0
    while start < len(order):
        size = best[start][1]
        rows = tuple(order[start : start + size])
        shares.append(Share(rows, batch_rung(size), rung(lengths[rows[0]])))
        start += size
    return shares


@dataclass(frozen=True)
class _Said:
    """What the text side said of a share, and what the speech needs beside it."""

    share: Share
    spoken: Spoken
    style: Tensor


class CudaRunner:
    """Satisfies `Runner`; belongs to one thread.

    Attributes:
        kernels_state: which kernels run, and why not the faster ones.
        graphs: the captured graphs, and why not more of them.
    """

    def __init__(
        self,
        network: Network,
        device: str,
        precision: str,
        *,
        triton: bool = True,
        graphs: bool = True,
        two_streams: bool = False,
        warm_up_s: float = WARM_UP_S,
        recorder: Recorder | None = None,
    ) -> None:
        """Move the network to the device and make everything ready, in seconds.

        Args:
            network: in its final types, on the CPU.
            device: `cuda:N`; or `cpu`, to try the rest of this class.
            precision: `exact` or `fast`, as the network is.
            triton: use the Triton kernels if they compile and agree with the plain form.
            graphs: capture graphs.
            two_streams: run an LSTM's two directions beside each other. Off until measured.
            warm_up_s: within this captures begin.
            recorder: what captures; None: CUDA, or nothing on a CPU.

        Raises:
            torch.OutOfMemoryError: the weights do not fit.
        """
        self._device = torch.device(device)
        self._on_cuda = self._device.type == "cuda"
        self._copies: Copies = PlainCopies()
        self._frames_most = SHARE_FRAMES
        self._network = network
        self.graphs = Graphs(None)
        self.kernels_state = "eager"
        with torch.no_grad(), self._here():
            network.to(self._device)
            if self._on_cuda:
                self._copies = CudaCopies(self._device)
                self._prepare_cuda(two_streams=two_streams)
                free, _ = torch.cuda.mem_get_info(self._device)
                fits = int(MEMORY_SHARE * free / FRAME_BYTES.get(precision, FRAME_BYTES["exact"]))
                self._frames_most = max(LEAST_STEP, min(SHARE_FRAMES, fits))
                if triton:
                    self._try_triton()
                self._rehearse()
                if graphs and recorder is None:
                    recorder = CudaRecorder(self._device)
            self.graphs = Graphs(recorder if graphs else None)
            self.graphs.capture(self._graphs_wanted(), warm_up_s)
        log.info(
            "ready on the device",
            extra={
                "action": "load",
                "kernels": self.kernels_state,
                "graphs": self.graphs.state,
                "frames_most": self._frames_most,
            },
        )

    @property
    def batch_most(self) -> int:
        """Beyond this a batch of even the shortest segments fills the device."""
        return BATCH_MOST

    @property
    def batch_phonemes(self) -> int:
        """What is spoken in as many frames as are computed at once."""
        return min(BATCH_PHONEMES, max(1, int(self._frames_most / PHONEME_FRAMES)))

    def run(self, items: Sequence[Prepared]) -> list[SegmentAudio]:
        """Render a batch in order.

        The samples lie in page-locked memory that a batch's items share.

        Raises:
            torch.OutOfMemoryError: the device's memory does not suffice; a RuntimeError.
            RuntimeError: torch failed otherwise.
        """
        if not items:
            return []
        rendered: dict[int, SegmentAudio] = {}
        with torch.no_grad(), self._here():
            said = self._say(items)
            # The one value the host must know: how long each item is.
            durations = self._copies.read([one.spoken.durations for one in said])
            landing: list[tuple[tuple[int, ...], Callable[[], NDArray[np.float32]]]] = []
            own = [  # of each item, by its row in the batch
                (row, one, place, table[place, : len(items[row].tokens)])
                for one, table in zip(said, durations, strict=True)
                for place, row in enumerate(one.share.rows)
            ]
            spans = {row: frames.numpy() for row, _, _, frames in own}
            for one in said:
                rows = one.share.rows
                lengths = [int(spans[row].sum()) for row in rows]
                shares = share_out(lengths, most=self._frames_most, launch=LAUNCH_FRAMES)
                for share in shares:
                    seeds = [items[rows[place]].seed for place in share.rows]
                    arrived = self._speak(one, share, [lengths[i] for i in share.rows], seeds)
                    landing.append((tuple(rows[place] for place in share.rows), arrived))
                    if len(landing) > 1:  # the one before, while this one is computed
                        _land(landing.pop(0), spans, rendered)
            for last in landing:
                _land(last, spans, rendered)
        return [rendered[row] for row in range(len(items))]

    # The two halves

    def _say(self, items: Sequence[Prepared]) -> list[_Said]:
        """Run the text side; nothing here waits for the device."""
        lengths = [len(item.tokens) for item in items]
        shares = share_out(lengths, most=SHARE_TOKENS, launch=LAUNCH_TOKENS)
        said = []
        for share in shares:
            found = self.graphs.find("text", len(share.rows), max(lengths[r] for r in share.rows))
            batch, width = (found[0].batch, found[0].width) if found else (share.batch, share.width)
            members = [items[row] for row in share.rows]
            fill = batch - len(members)
            tokens = torch.zeros(batch, width, dtype=torch.long)
            tokens[: len(members)] = pad_tokens(members, width)
            counts = torch.tensor([len(item.tokens) for item in members] + [1] * fill)
            style = torch.zeros(batch, PACK_COLUMNS)
            style[: len(members)] = torch.stack([item.style for item in members])
            speed = torch.tensor([item.speed for item in members] + [1.0] * fill)
            inputs = [self._copies.up(value) for value in (tokens, counts, style, speed)]
            if found:
                outputs = found[1](*inputs)
                if len(shares) > 1:  # the next share may replay the same graph
                    outputs = tuple(output.clone() for output in outputs)
                spoken = Spoken(*outputs)
            else:
                spoken = self._network.text(*inputs, full=False)
            said.append(_Said(share, spoken, inputs[2]))
        return said

    def _speak(
        self, said: _Said, share: Share, lengths: Sequence[int], seeds: Sequence[int]
    ) -> Callable[[], NDArray[np.float32]]:
        """Begin to compute a share and to copy it to the host; nothing here waits.

        Args:
            said: of the text share that it is part of.
            share: its rows are places in that one.
            lengths: frames of each row.
            seeds: of each row.
        """
        found = self.graphs.find("speech", len(share.rows), max(lengths))
        batch, width = (found[0].batch, found[0].width) if found else (share.batch, share.width)
        # What fills up is the shortest member once more.
        rows = [*share.rows, *[share.rows[-1]] * (batch - len(share.rows))]
        index = self._copies.up(torch.tensor(rows))
        every = said.spoken
        spoken = Spoken(
            every.durations.index_select(0, index),
            every.prosody.index_select(0, index),
            every.text.index_select(0, index),
        )
        prosody, text = self._network.spread(spoken, width)
        frames = spoken.durations.sum(1)
        style = said.style.index_select(0, index)
        noise = found[1].inputs[-1] if found else self._empty_noise(batch, width)
        for row, (seed, own) in enumerate(zip(seeds, lengths, strict=True)):
            draw_noise(seed, noise[row], own)
        if found:
            # Copied, because the next replay writes to the same place.
            samples = found[1](prosody, text, frames, style, noise)[0].clone()
        else:
            samples = self._network.utter(prosody, text, frames, style, noise, full=False)
        return self._copies.down(samples.float())

    def _empty_noise(self, batch: int, width: int) -> Tensor:
        # Undefined beyond what is drawn: no item's own samples read that.
        return torch.empty(batch, HARMONICS, FRAME_SAMPLES * width, device=self._device)

    # Making ready

    def _here(self) -> AbstractContextManager[object]:
        return torch.cuda.device(self._device) if self._on_cuda else nullcontext()

    def _prepare_cuda(self, *, two_streams: bool) -> None:
        # Half-precision products may otherwise be summed in half precision.
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        self._network.vocoder.generator.spectrum.by_matrix = True
        side = None
        if two_streams:
            side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        for module in self._network.modules():
            if isinstance(module, BiLstm):
                module.side = side
            if isinstance(module, nn.LSTM):
                module.flatten_parameters()  # else cuDNN copies the weights in every call

    def _try_triton(self) -> None:
        """Use the Triton kernels if they compile here and agree with the plain form."""
        plain = self._network.kernels
        try:
            self._network.kernels = make_triton_kernels(self._device)
            self._rehearse()
            self.kernels_state = self._network.kernels.name
        # A compiler may be absent or fail in many ways; the plain form needs none.
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else ""
            self._network.kernels = plain
            self.kernels_state = f"eager ({type(error).__name__}: {reason[:200]})"
            log.warning(
                "no Triton kernels", extra={"action": "warm-up", "error": self.kernels_state}
            )

    def _rehearse(self) -> None:
        """Speak something once, so that whatever is compiled or planned at first use is."""
        for _, call, make_inputs in self._calls([(1, 16), (2, 24)]):
            call(*make_inputs())
        if self._on_cuda:
            torch.cuda.synchronize(self._device)

    def _graphs_wanted(self) -> Iterator[tuple[Shape, Call, Callable[[], Tensors]]]:
        """Yield what to capture, most useful first: one item, short before long."""
        area = self._frames_most // 4
        for batch in GRAPH_BATCHES:
            for kind, widths in (("text", GRAPH_TOKENS), ("speech", GRAPH_FRAMES)):
                for shape, call, make in self._calls((batch, width) for width in widths):
                    if shape.kind == kind and shape.batch * shape.width <= area:
                        yield shape, call, make

    def _calls(
        self, sizes: Iterable[tuple[int, int]]
    ) -> Iterator[tuple[Shape, Call, Callable[[], Tensors]]]:
        """Yield both halves for each (batch, width), with what makes valid inputs for them."""
        for batch, width in sizes:
            text, speech = partial(self._text_inputs, batch), partial(self._speech_inputs, batch)
            yield Shape("text", batch, width), self._text_call, partial(text, width)
            yield Shape("speech", batch, width), self._speech_call, partial(speech, width)

    def _text_call(self, *inputs: Tensor) -> Tensors:
        spoken = self._network.text(*inputs, full=False)
        return spoken.durations, spoken.prosody, spoken.text

    def _speech_call(self, *inputs: Tensor) -> Tensors:
        return (self._network.utter(*inputs, full=False),)

    def _text_inputs(self, batch: int, width: int) -> Tensors:
        device = self._device
        return (
            torch.ones(batch, width, dtype=torch.long, device=device),
            torch.full((batch,), width, dtype=torch.long, device=device),
            torch.zeros(batch, PACK_COLUMNS, device=device),
            torch.ones(batch, device=device),
        )

    def _speech_inputs(self, batch: int, width: int) -> Tensors:
        device = self._device
        spoken = self._network.text(*self._text_inputs(batch, LEAST_STEP), full=False)
        prosody, text = self._network.spread(spoken, width)
        return (
            prosody,
            text,
            torch.full((batch,), width, dtype=torch.long, device=device),
            torch.zeros(batch, PACK_COLUMNS, device=device),
            torch.zeros(batch, HARMONICS, FRAME_SAMPLES * width, device=device),
        )


def make_triton_kernels(device: torch.device) -> Kernels:
    """Return the Triton kernels, having compared them with the plain form on this device.

    Raises:
        ImportError: there is no Triton.
        RuntimeError: they compute something else here.
    """
    from worker.engines.network.triton_kernels import TritonKernels  # noqa: PLC0415 - not on a CPU

    kernels = TritonKernels()
    generator = torch.Generator().manual_seed(1)
    for dtype, within in ((torch.float32, 1e-4), (torch.float16, 5e-3)):
        for channels in (128, 514):
            x = torch.randn(2, 300, channels, generator=generator).to(device, dtype)
            x[1, 200:] = float("nan")
            scale, shift = torch.randn(2, 2, channels, generator=generator).to(device)
            alpha = (torch.rand(channels, generator=generator) + 0.2).to(device)
            extent = Extent(torch.tensor([300, 200], device=device), 300, full=False)
            right = snake(normalise(extent.clear(x), extent, (scale, shift)), alpha)
            error = (kernels.norm_snake(x, extent, (scale, shift), alpha) - right).norm()
            if not bool(error <= within * right.norm()):
                raise RuntimeError(f"the Triton kernels are off by {float(error)} in {dtype}")
    return kernels


def _land(
    flight: tuple[tuple[int, ...], Callable[[], NDArray[np.float32]]],
    spans: dict[int, NDArray[np.int64]],
    rendered: dict[int, SegmentAudio],
) -> None:
    rows, arrived = flight
    samples = arrived()
    for place, row in enumerate(rows):
        heard = int(spans[row].sum()) * FRAME_SAMPLES
        rendered[row] = SegmentAudio(samples=samples[place, :heard], durations=spans[row].copy())
