"""One side of `benchmarks.engine`, in a process of its own: upstream's model, or our engine.

In: a line of JSON for each turn. Out: a line of JSON for each turn. It ends when its input does.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.upstream import load_kmodel
from shared.formats import SAMPLE_RATE_HZ
from shared.languages import Language
from shared.manifest import EngineName
from shared.voices import parse_voice
from worker.engines.base import SegmentInput
from worker.engines.device import release_memory
from worker.engines.kokoro import KokoroEngine
from worker.engines.loading import load_engine
from worker.engines.network.network import Network
from worker.engines.voicepacks import VoicePacks


class UpstreamSide:
    """Upstream's `KModel` as its users have it: eager, weight norms and all, one text a call."""

    kernels = "none: upstream's KModel, eager"

    def __init__(self, folder: Path) -> None:
        self._model = load_kmodel(folder)
        self._voices = VoicePacks(folder / "voices", "cpu")
        self.modules = upstream_parts(self._model)

    def render(self, segments: Sequence[SegmentInput], *, batched: bool) -> int:
        """Render and return the number of samples; batches are unknown here."""
        del batched
        return sum(
            self._model(
                segment.phonemes,
                self._voices.row(segment.voice, len(segment.phonemes)),
                segment.speed,
            ).numel()
            for segment in segments
        )

    @contextmanager
    def watched(self, watch: "Watch") -> Iterator[None]:
        """Time the model's parts for a block."""
        with watch.modules(self.modules):
            yield


class OurSide:
    """The engine, as a worker's child has it."""

    def __init__(self, folder: Path, precision: str) -> None:
        engine = load_engine(
            engine=EngineName.KOKORO, model=str(folder), device="cpu", precision=precision
        )
        assert isinstance(engine, KokoroEngine)  # noqa: S101 - it was asked for
        self._engine = engine
        runner: Any = engine._runner
        self._network: Network = runner._network
        self.kernels: str = self._network.kernels.name
        self.batch_most = engine.batch_most

    def render(self, segments: Sequence[SegmentInput], *, batched: bool) -> int:
        """Render one by one, or all in a single call; return the number of samples."""
        calls = [list(segments)] if batched else [[segment] for segment in segments]
        return sum(audio.samples.size for call in calls for audio in self._engine.forward(call))

    @contextmanager
    def watched(self, watch: "Watch") -> Iterator[None]:
        """Time the network's parts for a block."""
        network, kernels = self._network, self._network.kernels
        frame_blocks = set(map(id, network.vocoder.blocks))
        source_blocks = set(map(id, network.vocoder.generator.source_blocks))

        def of_frames(block: nn.Module, *_: Any) -> str | None:
            # Those of the curves are timed with them.
            return "frame blocks" if id(block) in frame_blocks else None

        def of_blocks(blocks: Sequence[nn.Module], x: torch.Tensor, *_: Any) -> str:
            kind = "source blocks" if id(blocks[0]) in source_blocks else "blocks"
            return f"{kind}, {x.shape[2]} channels"

        def of_source(*_: Any) -> str:
            return "source and spectrum"

        spectrum = network.vocoder.generator.spectrum
        with (
            watch.modules(our_parts(network)),
            watch.method(kernels, "frame_block", of_frames),
            watch.method(kernels, "mean_of_blocks", of_blocks),
            watch.method(spectrum, "split", of_source),
            watch.method(spectrum, "join", of_source),
        ):
            yield


Part = tuple[str, nn.Module]


def our_parts(network: Network) -> list[Part]:
    """Return the parts that are called as modules."""
    generator = network.vocoder.generator
    return [
        ("text side", network.text_side),
        ("pitch and energy", network.curves),
        ("source and spectrum", generator.source),
        *(("source convolutions", conv) for conv in generator.source_convs),
        *(("upsampling", up) for up in generator.ups),
        ("last convolution", generator.out),
    ]


def upstream_parts(model: Any) -> list[Part]:
    """Return upstream's counterparts, under the same names."""
    generator = model.decoder.generator
    resblocks = [
        (f"blocks, {block.convs1[0].out_channels} channels", block) for block in generator.resblocks
    ]
    noise = [
        (f"source blocks, {block.convs1[0].out_channels} channels", block)
        for block in generator.noise_res
    ]
    predictor = model.predictor
    return [
        *(
            ("text side", part)
            for part in (
                model.bert,
                model.bert_encoder,
                predictor.text_encoder,
                predictor.lstm,
                predictor.duration_proj,
                model.text_encoder,
            )
        ),
        *(
            ("pitch and energy", part)
            for part in (
                predictor.shared,
                *predictor.F0,
                *predictor.N,
                predictor.F0_proj,
                predictor.N_proj,
            )
        ),
        *(("frame blocks", block) for block in (model.decoder.encode, *model.decoder.decode)),
        ("source and spectrum", generator.m_source),
        *(("source convolutions", conv) for conv in generator.noise_convs),
        *(("upsampling", up) for up in generator.ups),
        *resblocks,
        *noise,
        ("last convolution", generator.conv_post),
    ]


def gflop(part: nn.Module, output: Any) -> float:
    """Return the 10⁹ multiplications and additions of the convolutions in a part of upstream's.

    Args:
        part: one convolution, or a block whose convolutions all give as many steps as it does.
        output: what it gave, (batch, channels, steps).
    """
    flop = 0
    for module in part.modules():
        if isinstance(module, nn.Conv1d):
            flop += 2 * module.weight.numel() * output.shape[2]
        elif isinstance(module, nn.ConvTranspose1d) and module is part:
            flop += 2 * module.weight.numel() * output.shape[2] // module.stride[0]
    return flop / 1e9


class Watch:
    """Adds up what a model's parts take, and what upstream's convolutions compute."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.gflop: dict[str, float] = defaultdict(float)

    @contextmanager
    def modules(self, parts: Sequence[Part]) -> Iterator[None]:
        """Time modules, each call of them, for a block."""
        began: dict[int, float] = {}
        hooks = []

        def before(module: nn.Module, _: Any) -> None:
            began[id(module)] = time.perf_counter()

        for name, part in parts:

            def after(module: nn.Module, _: Any, output: Any, name: str = name) -> None:
                self.seconds[name] += time.perf_counter() - began[id(module)]
                if isinstance(output, torch.Tensor) and output.dim() == 3:
                    self.gflop[name] += gflop(module, output)

            hooks += [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def method(self, owner: Any, method: str, name: Callable[..., str | None]) -> Iterator[None]:
        """Time a method for a block; `name` gives a call's part from its arguments."""
        plain = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            part = name(*args)
            began = time.perf_counter()
            result = plain(*args, **kwargs)
            if part is not None:
                self.seconds[part] += time.perf_counter() - began
            return result

        setattr(owner, method, timed)
        try:
            yield
        finally:
            delattr(owner, method)


def segments_of(turn: dict[str, Any]) -> list[SegmentInput]:
    """Return a turn's segments."""
    return [
        SegmentInput(
            **{
                **fields,
                "voice": parse_voice(fields["voice"]),
                "language": Language(fields["language"]),
            }
        )
        for fields in turn["segments"]
    ]


def render(side: UpstreamSide | OurSide, turn: dict[str, Any]) -> dict[str, Any]:
    """Render a turn's segments and time it."""
    segments = segments_of(turn)
    began = time.perf_counter()
    samples = side.render(segments, batched=turn.get("batched", False))
    return {"took_s": time.perf_counter() - began, "audio_s": samples / SAMPLE_RATE_HZ}


def profile(side: UpstreamSide | OurSide, turn: dict[str, Any]) -> dict[str, Any]:
    """Render a turn's segments and time each part of the model."""
    watch = Watch()
    with side.watched(watch):
        found = render(side, turn)
    return {**found, "part_s": watch.seconds, "part_gflop": watch.gflop}


def release(side: UpstreamSide | OurSide, turn: dict[str, Any]) -> dict[str, Any]:
    """Time what a worker does after a task to hand memory back."""
    del side, turn
    began = time.perf_counter()
    release_memory()
    return {"took_s": time.perf_counter() - began}


TURNS: dict[str, Callable[..., dict[str, Any]]] = {
    "render": render,
    "profile": profile,
    "release": release,
}


def main() -> None:
    """Load, and take turns until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=["upstream", "ours"], required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--precision", default="exact")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    answers, sys.stdout = sys.stdout, sys.stderr  # logs must not stand among the answers
    began = time.perf_counter()
    side = (
        UpstreamSide(options.model)
        if options.side == "upstream"
        else OurSide(options.model, options.precision)
    )
    answer: dict[str, Any] = {
        "load_s": time.perf_counter() - began,
        "kernels": side.kernels,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "batch_most": getattr(side, "batch_most", 1),
    }
    while True:
        print(json.dumps(answer), file=answers, flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        turn = json.loads(line)
        answer = TURNS[turn["do"]](side, turn)


if __name__ == "__main__":
    main()
