import subprocess
import sys
from pathlib import Path

import pytest
import torch

from shared.errors import InvalidSettings
from worker.engines import device
from worker.engines.device import device_memory, release_memory, resolve_device


def test_auto_takes_the_first_gpu_or_else_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == "cuda:0"
    assert resolve_device("cuda:1") == "cuda:1"


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"])
def test_a_device_of_another_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidSettings, match="is not a device"):
        resolve_device(name)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InvalidSettings, match="torch sees 1 CUDA device"):
        resolve_device("cuda:1")


def test_the_cpu_is_chosen_without_loading_torch() -> None:
    code = (
        "import sys\n"
        "from worker.engines.device import resolve_device\n"
        "assert resolve_device('cpu') == 'cpu' and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_without_cuda_there_is_no_device_memory_to_report() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert device_memory() is None


def test_without_cuda_the_heap_is_handed_back_but_not_after_every_short_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    now, trims = [1000.0], []
    monkeypatch.setattr(device, "_trimmed_at", 0.0)
    monkeypatch.setattr("worker.engines.device.time.monotonic", lambda: now[0])
    monkeypatch.setattr(device, "trim_heap", lambda: trims.append(now[0]))
    for at in (1000, 1001, 1004.9, 1005, 1006):
        now[0] = at
        release_memory()
    assert trims == [1000, 1005]


def test_a_trimmed_heap_is_smaller() -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("this system does not tell a process's resident memory")
    code = (
        "from pathlib import Path\n"
        "from worker.engines.device import trim_heap\n"
        "def resident(): return int(Path('/proc/self/statm').read_text().split()[1]) * 4096\n"
        # Below the size that glibc maps by itself, with one kept at the heap's end.
        "blocks = [bytearray(b'x' * 60_000) for _ in range(2000)]\n"
        "last = blocks.pop()\n"
        "blocks.clear()\n"
        "before = resident()\n"
        "trim_heap()\n"
        "assert before - resident() > 60e6, (before, resident())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
