import subprocess
import sys

import pytest
import torch

from shared.errors import InvalidSettings
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


def test_without_cuda_there_is_no_memory_to_release_or_report() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    release_memory()
    assert device_memory() is None
