"""The device an engine computes on, asked only in the process that uses it.

Nothing here touches CUDA unless an engine already did: a parent that initialises CUDA before it
forks leaves its children with a broken driver, so parents may call these functions freely.
"""

import ctypes
import re
import sys
import time

from shared.errors import InvalidSettings

TRIM_EVERY_S = 5.0
"""The heap is given back at most this often: that takes 15 ms, and touching it again some more."""


def resolve_device(name: str) -> str:
    """Return `cpu` or `cuda:N` for `auto`, `cpu`, `cuda` or `cuda:N`.

    Imports torch and asks the CUDA driver, so call it only in the process that renders.

    Raises:
        InvalidSettings: the name is none of these, or no such CUDA device is visible.
    """
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d{1,3}))?", name)
    if match is None:
        raise InvalidSettings(
            f"KC_DEVICE={name!r} is not a device. Use auto, cpu or cuda:N.", param="KC_DEVICE"
        )
    if name == "cpu":
        return "cpu"
    import torch

    if name == "auto" and not torch.cuda.is_available():
        return "cpu"
    index = int(match[1] or 0)
    visible = torch.cuda.device_count()
    if index >= visible:
        raise InvalidSettings(
            f"KC_DEVICE={name!r}, but torch sees {visible} CUDA device(s). Check nvidia-smi and "
            "CUDA_VISIBLE_DEVICES, install a CUDA build of torch, or set KC_DEVICE=cpu.",
            param="KC_DEVICE",
        )
    return f"cuda:{index}"


def release_memory() -> None:
    """Hand back the memory that no tensor uses: a device's to its driver, the heap to the system.

    The heap is handed back where the tensors lie in it, and only every `TRIM_EVERY_S` seconds.
    """
    global _trimmed_at  # noqa: PLW0603 - a process has one heap
    if _cuda_in_use():
        import torch

        torch.cuda.empty_cache()
    elif "torch" in sys.modules and time.monotonic() - _trimmed_at >= TRIM_EVERY_S:
        trim_heap()
        _trimmed_at = time.monotonic()


_trimmed_at = 0.0


def trim_heap() -> None:
    """Hand the free parts of the heap back to the system.

    glibc keeps what it was ever given, in pieces that fit the shapes of the day: a process that
    renders one segment after another grows by a fifth. Where there is no `malloc_trim`, do nothing.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def device_memory() -> tuple[int, int] | None:
    """Return (used, total) bytes of the current CUDA device, by all processes; None without one."""
    if not _cuda_in_use():
        return None
    import torch

    free, total = torch.cuda.mem_get_info()
    return total - free, total


def device_answers() -> bool:
    """Return whether the CUDA device in use still does what it is asked; yes where there is none.

    An error that corrupts a process's context (an illegal address, a failed assertion on the
    device, an uncorrectable memory error) is answered to every later call of that process.
    """
    if not _cuda_in_use():
        return True
    import torch

    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True


def _cuda_in_use() -> bool:
    if "torch" not in sys.modules:
        return False
    import torch

    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
