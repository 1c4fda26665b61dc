"""CUDA graphs of short batches, whose two thousand small kernels take longer to launch than to run.

In: a call whose shapes are fixed and which reads nothing back. Out: the same call, replayed by one
launch. What cannot be captured is left to be run as before, and the log says why.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Tensors = tuple[Tensor, ...]
Call = Callable[..., Tensors]

GRAPHS_MOST = 96
"""Each is some two thousand nodes: a few MB on the device and tens of ms to make."""
AGREES_WITHIN = 1e-2
"""Relative error, by norm, of a replay against the call itself; it should be nought, and a graph
that reads stale memory is off by about one."""


class Recorder(Protocol):
    """Captures a call once, and tells how to repeat it."""

    def record(self, call: Callable[[], Tensors]) -> tuple[Callable[[], None], Tensors]:
        """Return what replays `call`, and the tensors it then fills."""
        ...


class CudaRecorder:
    """Captures with CUDA; all its graphs share one memory pool.

    They may, because they are replayed one after another on one stream. The pool is private:
    `torch.cuda.empty_cache()`, which the worker calls after each task, does not touch it.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, call: Callable[[], Tensors]) -> tuple[Callable[[], None], Tensors]:
        """Capture, after running twice: handles, plans and compiled kernels are made then."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            for _ in range(2):
                call()
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads of this process, which store audio, may use CUDA's host functions meanwhile.
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        ):
            outputs = call()
        current.wait_stream(self._stream)
        return graph.replay, outputs


@dataclass
class Captured:
    """One captured call: fill `inputs`, replay, and read the answer before the next replay."""

    inputs: Tensors
    outputs: Tensors
    replay: Callable[[], None]

    def __call__(self, *values: Tensor) -> Tensors:
        """Copy the values into the inputs, but for those that are inputs, and replay."""
        for static, value in zip(self.inputs, values, strict=True):
            if value is not static:
                static.copy_(value)
        self.replay()
        return self.outputs


@dataclass(frozen=True)
class Shape:
    """A shape to capture: which call, items, and tokens or frames."""

    kind: str
    batch: int
    width: int


class Graphs:
    """The captured calls, by shape."""

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder
        self._captured: dict[Shape, Captured] = {}
        self._widths: dict[tuple[str, int], list[int]] = {}
        self.state = "off" if recorder is None else "none captured yet"

    def __len__(self) -> int:
        return len(self._captured)

    @property
    def shapes(self) -> list[Shape]:
        """Return what has been captured."""
        return list(self._captured)

    def capture(
        self, wanted: Iterable[tuple[Shape, Call, Callable[[], Tensors]]], within_s: float
    ) -> None:
        """Capture one shape after another until the time is up or one fails.

        Args:
            wanted: shape, call, and what makes its inputs; the most useful first.
            within_s: no capture begins later; one takes well below a second.
        """
        recorder = self._recorder
        if recorder is None:
            return
        began = time.monotonic()
        self.state = ""
        for shape, call, make_inputs in wanted:
            late = time.monotonic() - began > within_s
            if late or len(self._captured) >= GRAPHS_MOST:
                self.state = f", then stopped for {'time' if late else 'number'}"
                break
            try:
                self._captured[shape] = _capture(recorder, call, make_inputs())
            # Whatever a driver or library raises, the same work can be done without a graph.
            except Exception as error:
                self.state = f", then failed at {shape}: {_line(error)}"
                log.warning("no CUDA graph", extra={"action": "warm-up", "error": self.state[:300]})
                break
            self._widths.setdefault((shape.kind, shape.batch), []).append(shape.width)
            self._widths[shape.kind, shape.batch].sort()
        self.state = (
            f"{len(self)} captured in {time.monotonic() - began:.1f} s{self.state or ', all'}"
        )

    def find(self, kind: str, batch: int, width: int) -> tuple[Shape, Captured] | None:
        """Return the smallest captured shape that holds the batch, if there is one."""
        best: Shape | None = None
        for (own, size), widths in self._widths.items():
            if own != kind or size < batch:
                continue
            wide = next((w for w in widths if w >= width), None)
            if wide is not None and (best is None or size * wide < best.batch * best.width):
                best = Shape(kind, size, wide)
        return None if best is None else (best, self._captured[best])


def _capture(recorder: Recorder, call: Call, inputs: Tensors) -> Captured:
    """Capture a call and compare its replay with the call itself.

    Raises:
        RuntimeError: it could not be captured, or replays something else.
    """
    expected = [tensor.clone() for tensor in call(*inputs)]
    replay, outputs = recorder.record(lambda: call(*inputs))
    for output in outputs:
        output.zero_()  # what the capture itself left there proves nothing
    replay()
    for output, right in zip(outputs, expected, strict=True):
        error = (output.double() - right.double()).norm()
        if not bool(error <= AGREES_WITHIN * right.double().norm()):
            raise RuntimeError("its replay gives something else")
    return Captured(inputs, outputs, replay)


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
