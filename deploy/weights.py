"""Which engine the local launcher uses: real weights where they can be had, else the stand-in."""

import os
from dataclasses import dataclass

from shared.manifest import EngineName
from shared.settings import Settings

PATTERNS = ["config.json", "*.pth", "voices/*.pt"]


@dataclass(frozen=True)
class EngineChoice:
    """What `make up` speaks with, and why.

    Attributes:
        engine: the engine.
        model: its weights.
        note: one line for the person who started it.
    """

    engine: EngineName
    model: str
    note: str


def choose_engine(settings: Settings) -> EngineChoice:
    """Return the engine named in the settings, or the best that can be had here."""
    named = settings.model_fields_set & {"engine", "model"}
    if named:
        return EngineChoice(settings.engine, settings.model, f"engine: {settings.engine} (as set)")
    reason = _download(settings.model)
    if reason is None:
        return EngineChoice(EngineName.KOKORO, settings.model, f"engine: {settings.model}")
    return EngineChoice(
        EngineName.ESPEAK,
        settings.model,
        "engine: espeak, a STAND-IN and not Kokoro, because the weights of "
        f"{settings.model} can't be had here ({reason}). To use real weights: "
        "KC_MODEL=/folder/with/weights make up",
    )


def _download(repo: str) -> str | None:
    """Fetch the weights into the hub's cache, if they aren't there; return why not, if not."""
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", "5")
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "30")
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only the launcher asks
    from huggingface_hub.errors import (  # noqa: PLC0415
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    try:
        snapshot_download(repo, allow_patterns=PATTERNS)
    except LocalEntryNotFoundError:
        return "the hub can't be reached"
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        return type(error).__name__
    return None
