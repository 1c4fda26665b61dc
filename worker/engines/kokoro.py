"""Kokoro itself: upstream's model, loaded from a folder or the hub.

In: phonemes, a voice, a speed and a seed. Out: the audio upstream's `KModel` gives for them.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from shared.errors import (
    DeviceLost,
    EngineFailed,
    InvalidInput,
    ModelUnavailable,
    OutOfDeviceMemory,
)
from shared.manifest import EngineManifest, EngineName
from worker.engines.base import MAX_PHONEMES, SegmentAudio, SegmentInput
from worker.engines.cpu import CpuRunner
from worker.engines.device import device_answers, device_memory, resolve_device
from worker.engines.kmodel import build, fold_weight_norm, load_weights
from worker.engines.network.network import Network
from worker.engines.runner import Prepared, Runner
from worker.engines.voicepacks import VoicePacks

NUMERICS_VERSION = 2
"""Raise it when the same inputs would give other samples, so that no old audio is reused."""

_LAYOUT = "It needs config.json, one *.pth with the weights, and voices/*.pt"
_HUB_FILES = ["config.json", "*.pth", "voices/*.pt"]


class KokoroEngine:
    """Upstream's model behind the cluster's interface; satisfies `Engine`."""

    def __init__(
        self, vocab: dict[str, int], runner: Runner, voices: VoicePacks, manifest: EngineManifest
    ) -> None:
        self._vocab = vocab
        self._runner = runner
        self._voices = voices
        self._manifest = manifest

    @classmethod
    def load(cls, model: str, *, device: str, precision: str = "exact") -> "KokoroEngine":
        """Load `model`, a local folder or a hub repository, on to `device`.

        Raises:
            ModelUnavailable: it is absent or broken; the message says the reason and the remedy.
            InvalidSettings: there is no such device.
        """
        folder, name = _locate(model)
        config_bytes = _read_config(folder)
        try:
            config = json.loads(config_bytes)
        except ValueError as error:
            raise ModelUnavailable(f"{folder}/config.json is not JSON: {error}.") from error
        if not isinstance(config, dict):
            raise ModelUnavailable(f"{folder}/config.json is not a JSON object.")
        weights = _find_weights(folder)
        device = resolve_device(device)
        _use_upstream_numerics(device)
        voices = VoicePacks(folder / "voices", "cpu")
        kmodel = build(config)
        load_weights(kmodel, weights)
        fold_weight_norm(kmodel)
        if config.get("synthetic") is True:
            name = f"synthetic-{config.get('synthetic_size', 'checkpoint')}"
        manifest = EngineManifest(
            engine=EngineName.KOKORO,
            model=name,
            fingerprint=_fingerprint(config_bytes, weights, precision),
            stand_in=False,
            precision=precision,
            voices=voices.fingerprints,
        )
        try:
            network = Network(kmodel)
        except ValueError as error:
            raise ModelUnavailable(
                f"{folder}/config.json describes a network that this engine does not compute "
                f"({error}). Take config.json and the weights from Kokoro's own release."
            ) from error
        vocab = kmodel.vocab
        del kmodel  # so that its weights are free before the runner lays out its own
        return cls(vocab, _runner(network, device, precision), voices, manifest)

    @property
    def manifest(self) -> EngineManifest:
        """What was loaded."""
        return self._manifest

    @property
    def batch_most(self) -> int:
        """Segments beyond which a larger batch gains nothing on this device."""
        return self._runner.batch_most

    @property
    def batch_phonemes(self) -> int:
        """Phonemes, padding included, that one batch should hold at most on this device."""
        return self._runner.batch_phonemes

    def device_memory(self) -> tuple[int, int] | None:
        """Return (used, total) bytes of the GPU, by all processes; None on a CPU."""
        return device_memory()

    def forward(self, segments: Sequence[SegmentInput]) -> list[SegmentAudio]:
        """Render a batch; item i of the answer is item i of `segments`.

        Raises:
            OutOfDeviceMemory: the device has no room for the batch; a smaller one may go.
            DeviceLost: the device failed, and would fail whatever this process asked of it next.
            EngineFailed: torch failed; the batch has no result.
            InvalidInput: a segment has no phoneme of the model's alphabet, or more than 510.
            UnknownVoice: a segment names a voice that is not loaded.
        """
        prepared = [self._prepare(segment) for segment in segments]
        if not prepared:
            return []
        try:
            return self._runner.run(prepared)
        except torch.OutOfMemoryError as error:
            raise OutOfDeviceMemory(f"Kokoro failed: {error}") from error
        except torch.AcceleratorError as error:
            # A few of these leave the context whole; a new child then costs seconds in vain.
            raise DeviceLost(f"Kokoro's device failed: {error}") from error
        except RuntimeError as error:
            # cuBLAS, cuDNN and Triton report the same errors in types of their own.
            if not device_answers():
                raise DeviceLost(f"Kokoro's device failed: {error}") from error
            raise EngineFailed(f"Kokoro failed: {error}") from error

    def _prepare(self, segment: SegmentInput) -> Prepared:
        if not 1 <= len(segment.phonemes) <= MAX_PHONEMES:
            raise InvalidInput(
                f"A segment has 1 to {MAX_PHONEMES} phonemes, not {len(segment.phonemes)}."
            )
        known = [self._vocab[phoneme] for phoneme in segment.phonemes if phoneme in self._vocab]
        if not known:
            # The phonemes are the text, and this is logged: so they are counted, not named.
            raise InvalidInput(
                f"None of a segment's {len(segment.phonemes)} phonemes is in the model's alphabet."
            )
        return Prepared(
            tokens=(0, *known, 0),
            style=self._voices.row(segment.voice, len(segment.phonemes)).squeeze(0),
            speed=segment.speed,
            seed=segment.seed % 2**63,
        )


def _runner(network: Network, device: str, precision: str) -> Runner:
    if device == "cpu":
        return CpuRunner(network, precision)
    from worker.engines.cuda import CudaRunner  # noqa: PLC0415 - brings CUDA's streams and graphs

    if precision == "fast":
        # Not bfloat16: a norm precedes every wide convolution, so float16's range suffices, and it
        # rounds eight times finer.
        network.halve(torch.float16)
    return CudaRunner(network, device, precision)


def _locate(model: str) -> tuple[Path, str]:
    """Return the folder that holds the model, and the name to show for it."""
    if not model:
        raise ModelUnavailable(
            "KC_MODEL is not set. Point it at a folder with Kokoro's weights, or at a hub "
            "repository such as hexgrad/Kokoro-82M; or set KC_ENGINE=espeak for the stand-in."
        )
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder, folder.resolve().name
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", model) is None:
        raise ModelUnavailable(
            f"KC_MODEL={model!r} is neither a folder nor a hub repository. {_LAYOUT}."
        )
    return _download(model), model


def _download(repo_id: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - not for a local folder
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError  # noqa: PLC0415

    try:
        return Path(snapshot_download(repo_id, allow_patterns=_HUB_FILES))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelUnavailable(
            f"{repo_id} could not be had from the hub ({type(error).__name__}: {reason}). Check "
            "the name and the network (HF_ENDPOINT, HTTPS_PROXY), or set KC_MODEL to a local "
            f"folder. {_LAYOUT}."
        ) from error


def _read_config(folder: Path) -> bytes:
    try:
        return (folder / "config.json").read_bytes()
    except OSError as error:
        raise ModelUnavailable(
            f"{folder}/config.json cannot be read ({error.strerror}). {_LAYOUT}."
        ) from error


def _find_weights(folder: Path) -> Path:
    paths = sorted(folder.glob("*.pth"))
    if len(paths) != 1:
        found = ", ".join(path.name for path in paths) or "none"
        raise ModelUnavailable(f"{folder} must hold one *.pth; found: {found}. {_LAYOUT}.")
    return paths[0]


def _fingerprint(config: bytes, weights: Path, precision: str) -> str:
    digest = hashlib.sha256(f"kokoro:{NUMERICS_VERSION}:{precision}:".encode())
    digest.update(hashlib.sha256(config).digest())
    with weights.open("rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _use_upstream_numerics(device: str) -> None:
    """Pin what upstream gets by default, so that no other code's choice changes the audio."""
    torch.set_float32_matmul_precision("highest")  # the text side: rounding flips durations
    if device != "cpu":
        torch.backends.cudnn.allow_tf32 = True  # convolutions, as upstream runs them on CUDA
        torch.backends.cudnn.benchmark = False  # every sentence has a new length
