"""Copies between the host and a device, without making either wait for the other.

`CudaCopies` uses page-locked memory and a second stream; `PlainCopies` is the same for a CPU, so
that a runner written for CUDA can be tried without one.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Copies(Protocol):
    """What a runner needs of its device."""

    def up(self, host: Tensor) -> Tensor:
        """Return a copy on the device, in order with the device's work."""
        ...

    def read(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return copies on the host; waits for all that was asked of the device so far."""
        ...

    def down(self, tensor: Tensor) -> Callable[[], NDArray[np.float32]]:
        """Begin to copy to the host beside further work; the answer waits and returns it."""
        ...


class PlainCopies:
    """Satisfies `Copies` where host and device are one."""

    def up(self, host: Tensor) -> Tensor:
        """Return it."""
        return host

    def read(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return them."""
        return list(tensors)

    def down(self, tensor: Tensor) -> Callable[[], NDArray[np.float32]]:
        """Return how to have it."""
        array = tensor.numpy()
        return lambda: array


class CudaCopies:
    """Satisfies `Copies`; belongs to one thread.

    Page-locked memory comes from torch's caching allocator: made once, which takes milliseconds,
    and used again as soon as its last reader lets go of it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def up(self, host: Tensor) -> Tensor:
        """Return a copy on the device, in order with the current stream; does not wait."""
        return host.pin_memory().to(self._device, non_blocking=True)

    def read(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return copies on the host: the one place where the host waits within a batch."""
        hosts = [torch.empty(one.shape, dtype=one.dtype, pin_memory=True) for one in tensors]
        for host, tensor in zip(hosts, tensors, strict=True):
            host.copy_(tensor, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()
        done.synchronize()
        return hosts

    def down(self, tensor: Tensor) -> Callable[[], NDArray[np.float32]]:
        """Begin to copy `tensor` on the second stream; the answer waits for that copy alone.

        The array lies in page-locked memory and is not copied again: at 400 s of audio that would
        keep the device waiting for some 5 ms.
        """
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self._beside.wait_stream(torch.cuda.current_stream(self._device))
        # A host that sleeps until the event leaves its core to the threads that store audio.
        copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._beside):
            host.copy_(tensor, non_blocking=True)
            copied.record(self._beside)
        tensor.record_stream(self._beside)  # its memory may not be reused before

        def arrived() -> NDArray[np.float32]:
            copied.synchronize()
            array: NDArray[np.float32] = host.numpy()
            return array

        return arrived
