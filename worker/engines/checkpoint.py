"""The synthetic checkpoint: Kokoro's architecture with seeded random weights.

Out: a folder laid out as upstream's release, loaded by the same code. It makes noise of
believable length and loudness: for tests (`tiny`) and for measuring speed (`full`).
"""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import torch

from worker.engines import facts
from worker.engines.kmodel import MODULES, build

Size = Literal["full", "tiny"]

WEIGHTS_NAME = "kokoro-v1_0.pth"

TINY_VOICES = (
    "af_heart", "af_bella", "af_sky", "am_adam", "bf_emma", "ef_dora", "ff_siwis", "jf_alpha",
    "zf_xiaobei",
)  # fmt: skip
"""The tiny checkpoint's voices: several languages, both genders, 0.5 MB each."""

_FRAMES_PER_PHONEME = 2.2  # comes out as 2 to 3.5, by voice; English speech has 40 / 17 = 2.4
_DURATION_SPREAD = 2.5  # lets phonemes and voices differ by about a frame
_PITCH_HZ = 160.0
_PITCH_SPREAD = 60.0  # gives a standard deviation near 30 Hz, so that harmonics move as in speech
_LOG_GAIN = {"full": -1.0, "tiny": -1.0}  # of the spectrum: audio of RMS near 0.1
_SLIDE = 7  # elements by which a row of a tiny checkpoint's matrix is shifted against the last


def write_checkpoint(folder: Path, *, size: Size, seed: int = 0) -> None:
    """Write a synthetic checkpoint to `folder`, whole or not at all.

    `full` has upstream's configuration and all 54 voices (about 355 MB on disk). `tiny` is the
    smallest that upstream's code loads: the decoder's 512 and 1 024 channels are fixed there, so
    57 M parameters remain, but its file holds them as overlapping views of a few numbers
    (about 10 MB on disk with its voices, 230 MB in memory).

    Args:
        folder: must not exist, be empty, or hold an earlier synthetic checkpoint.
        size: `full` for true speed, `tiny` for tests.
        seed: of the weights and voices; the same seed gives the same tensors.

    Raises:
        FileExistsError: the folder holds something else.
    """
    if not _may_write(folder):
        raise FileExistsError(
            f"{folder} holds something that is not a synthetic checkpoint; choose another folder."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        complete = scratch / "new"
        _write(complete, size, seed)
        if folder.exists():
            folder.rename(scratch / "old")
        complete.rename(folder)
    finally:
        shutil.rmtree(scratch)


def synthetic_config(size: Size, seed: int) -> dict[str, Any]:
    """Return upstream's configuration, or its smallest loadable kin, marked as synthetic."""
    config = facts.model_config()
    if size == "tiny":
        config["n_layer"] = 1
        config["plbert"] |= {
            "hidden_size": 64,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
        }
        # Three stages that do not upsample halve the channels before the expensive ones.
        config["istftnet"] |= {
            "upsample_rates": [1, 1, 1, 10, 6],
            "upsample_kernel_sizes": [1, 1, 1, 20, 12],
            "resblock_kernel_sizes": [3],
            "resblock_dilation_sizes": [[1, 3, 5]],
        }
    return config | {"synthetic": True, "synthetic_size": size, "synthetic_seed": seed}


def _may_write(folder: Path) -> bool:
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("synthetic") is True


def _write(folder: Path, size: Size, seed: int) -> None:
    (folder / "voices").mkdir(parents=True)
    config = synthetic_config(size, seed)
    (folder / "config.json").write_text(
        json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8"
    )
    torch.save(_random_weights(config, size, seed), folder / WEIGHTS_NAME)
    for name in TINY_VOICES if size == "tiny" else facts.voice_names():
        torch.save(_random_pack(name, seed), folder / "voices" / f"{name}.pt")
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


@torch.no_grad()
def _random_weights(config: dict[str, Any], size: Size, seed: int) -> dict[str, Any]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(config, initialise=True)
    # Σ sigmoid over max_dur outputs is the duration: centre it, and let phonemes differ.
    share = _FRAMES_PER_PHONEME / config["max_dur"]
    projection = model.predictor.duration_proj.linear_layer
    projection.weight.mul_(_DURATION_SPREAD)
    projection.bias.fill_(torch.logit(torch.tensor(share)).item())
    model.predictor.F0_proj.weight.mul_(_PITCH_SPREAD)
    model.predictor.F0_proj.bias.fill_(_PITCH_HZ)
    magnitudes = config["istftnet"]["gen_istft_n_fft"] // 2 + 1
    model.decoder.generator.conv_post.bias[:magnitudes].add_(_LOG_GAIN[size])
    return {
        # Upstream's files carry DataParallel's prefix, and predate the instance norms' weights.
        name: {
            f"module.{key}": _slide(value) if size == "tiny" else value
            for key, value in getattr(model, name).state_dict().items()
            if not (".norm" in key and key.endswith((".norm.weight", ".norm.bias")))
        }
        for name in MODULES
    }


def _slide(value: torch.Tensor) -> torch.Tensor:
    """Return a tensor of that shape whose rows overlap in storage, so that it saves small."""
    if value.dim() < 2 or value.numel() < 4096:
        return value
    rows = value.shape[0]
    columns = value.numel() // rows
    pool = value.flatten()[: (rows - 1) * _SLIDE + columns].clone()
    return pool.unfold(0, columns, _SLIDE).view(value.shape)


def _random_pack(name: str, seed: int) -> torch.Tensor:
    """Return a voice pack, float32 (510, 1, 256): a voice's own style, drifting with length."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    style = torch.randn(1, 1, facts.PACK_COLUMNS, generator=generator)
    drift = torch.randn(facts.PACK_ROWS, 1, facts.PACK_COLUMNS, generator=generator)
    return 0.3 * style + 0.02 * drift
