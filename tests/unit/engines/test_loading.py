import subprocess
import sys

import pytest

from shared.errors import InvalidSettings
from shared.manifest import EngineName
from worker.engines.loading import load_engine


def test_neither_the_interface_nor_the_stand_in_imports_torch() -> None:
    code = (
        "import sys\n"
        "import worker.engines.base, worker.engines.espeak, worker.engines.loading\n"
        "import worker.engines.device, worker.engines.plausibility, worker.engines.scripted\n"
        "from shared.manifest import EngineName\n"
        "worker.engines.loading.load_engine(\n"
        "    engine=EngineName.ESPEAK, model='', device='auto', precision='exact')\n"
        "worker.engines.device.release_memory()\n"
        "assert worker.engines.device.device_memory() is None\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="KC_PRECISION='bf16'"):
        load_engine(engine=EngineName.ESPEAK, model="", device="cpu", precision="bf16")
