"""What a gateway may load."""

import subprocess
import sys

HEAVY = ("torch", "numpy", "misaki", "kokoro", "soundfile", "av", "spacy", "transformers")


def test_a_gateway_loads_no_model_no_audio_and_no_g2p() -> None:
    code = (
        "import sys, gateway.app, gateway.serve\n"
        f"found = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'loaded: {found}' if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
