"""What is known of Kokoro-82M without its weights: its configuration and its voices' names.

Both are facts published with the model at huggingface.co/hexgrad/Kokoro-82M (Apache-2.0); they
let the doubles list real voices, and the synthetic checkpoint take real phonemes.
"""

import json
from importlib import resources
from typing import Any

FRAME_SAMPLES = 600
"""Samples of one duration frame: 40 frames a second at 24 000 Hz."""

PACK_ROWS = 510
"""Rows of a voice pack, one for each length of the phoneme string."""

PACK_COLUMNS = 256
"""Columns of a voice pack: 128 of the decoder's style, then 128 of the prosody's."""


def voice_names() -> tuple[str, ...]:
    """Return the names of the model's 54 voices; first letter: language, second: f or m."""
    return tuple(_read("voices.txt").split())


def model_config() -> dict[str, Any]:
    """Return a fresh copy of the model's `config.json`."""
    config: dict[str, Any] = json.loads(_read("config.json"))
    return config


def _read(name: str) -> str:
    return (resources.files("worker.engines") / "data" / name).read_text(encoding="utf-8")
