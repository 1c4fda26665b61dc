"""The device an engine computes on, asked only in the process that uses it.

Nothing here touches CUDA unless an engine already did: a parent that initialises CUDA before it
forks leaves its children with a broken driver, so parents may call these functions freely.
"""

import re
import sys

from shared.errors import InvalidSettings


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
    """Hand the device memory that no tensor uses back to the driver; without CUDA, do nothing."""
    if _cuda_in_use():
        import torch

        torch.cuda.empty_cache()


def device_memory() -> tuple[int, int] | None:
    """Return (used, total) bytes of the current CUDA device, by all processes; None without one."""
    if not _cuda_in_use():
        return None
    import torch

    free, total = torch.cuda.mem_get_info()
    return total - free, total


def _cuda_in_use() -> bool:
    if "torch" not in sys.modules:
        return False
    import torch

    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
