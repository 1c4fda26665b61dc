"""A model's voices and their mixes, as rows of style.

In: a folder of `*.pt` files. Out: the row of a mix for a phoneme string's length.
"""

import hashlib
import io
import pickle
import re
from collections import OrderedDict
from pathlib import Path

import torch

from shared.errors import ModelUnavailable
from shared.voices import VoiceMix
from worker.engines.facts import PACK_COLUMNS, PACK_ROWS

MAX_CACHED_MIXES = 64
"""Mixes kept at hand, 0.5 MB each."""


class VoicePacks:
    """All voices of a model, float32 (510, 1, 256) each, on one device.

    Attributes:
        fingerprints: voice name → SHA-256 of its file, 64 hex digits.
    """

    def __init__(self, folder: Path, device: str) -> None:
        """Read every `*.pt` in `folder` (28 MB for the 54 voices of the 82M model).

        Raises:
            ModelUnavailable: the folder is absent or empty, or a file is not a voice pack.
        """
        paths = sorted(folder.glob("*.pt"))
        if not paths:
            raise ModelUnavailable(
                f"{folder} holds no voice (*.pt). Copy the folder `voices` of the model's release."
            )
        self.fingerprints: dict[str, str] = {}
        self._packs: dict[str, torch.Tensor] = {}
        self._mixes: OrderedDict[VoiceMix, torch.Tensor] = OrderedDict()
        for path in paths:
            content = path.read_bytes()
            self.fingerprints[path.stem] = hashlib.sha256(content).hexdigest()
            self._packs[path.stem] = _read_pack(path, content).to(device)

    def row(self, voice: VoiceMix, phonemes: int) -> torch.Tensor:
        """Return the style for a string of that many phonemes, float32 (1, 256).

        Raises:
            UnknownVoice: a part of the mix is not loaded.
        """
        voice.check(self.fingerprints)
        return self._pack(voice)[phonemes - 1]

    def _pack(self, voice: VoiceMix) -> torch.Tensor:
        if len(voice.parts) == 1:
            return self._packs[voice.main]
        pack = self._mixes.get(voice)
        if pack is None:
            pack = sum(
                (self._packs[name] * weight for name, weight in voice.parts),
                start=torch.zeros(()),
            )
            self._mixes[voice] = pack
            if len(self._mixes) > MAX_CACHED_MIXES:
                self._mixes.popitem(last=False)
        self._mixes.move_to_end(voice)
        return pack


def _read_pack(path: Path, content: bytes) -> torch.Tensor:
    remedy = "Copy the file from the model's release again."
    if re.fullmatch(r"[A-Za-z0-9_]{1,64}", path.stem) is None:
        raise ModelUnavailable(f"{path}: a voice's name has letters, digits and _ only. Rename it.")
    try:
        pack = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ModelUnavailable(f"{path} cannot be read as a voice pack. {remedy}") from error
    if (
        not isinstance(pack, torch.Tensor)
        or pack.dim() != 3
        or pack.shape[0] < PACK_ROWS
        or pack.shape[1:] != (1, PACK_COLUMNS)
        or not bool(torch.isfinite(pack).all())
    ):
        raise ModelUnavailable(
            f"{path} is not a voice pack of finite numbers, ({PACK_ROWS}, 1, {PACK_COLUMNS}). "
            f"{remedy}"
        )
    return pack.float()
