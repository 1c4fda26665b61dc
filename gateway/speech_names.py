"""What OpenAI's and Kokoro-FastAPI's clients call models and voices, and what that means here."""

import re

from gateway.errors import UnknownModel
from shared.manifest import EngineManifest

MODELS = ("kokoro", "tts-1", "tts-1-hd", "gpt-4o-mini-tts")
"""Names of models that clients have built in; all mean the one that is loaded."""

VOICES: dict[str, str] = {
    # As Kokoro-FastAPI has them.
    "alloy": "am_adam",
    "ash": "af_nicole",
    "coral": "bf_emma",
    "echo": "af_bella",
    "fable": "af_sarah",
    "nova": "bf_isabella",
    "onyx": "bm_george",
    "sage": "am_michael",
    "shimmer": "af_sky",
    # OpenAI's later ones, which it has not.
    "ballad": "bm_fable",
    "cedar": "am_fenrir",
    "marin": "af_heart",
    "verse": "am_puck",
}
"""OpenAI's names of voices → Kokoro's."""

DEFAULT_VOICE = "af_heart"

_NAME = re.compile(r"[A-Za-z0-9_]+(?=\s*(?:\(|\+|$))")
_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def voice_here(voice: str, engine: EngineManifest) -> str:
    """Return a voice or a mix with OpenAI's names replaced by those of voices that are loaded.

    A name of OpenAI's always means some voice; any other is left to be found or not.
    """

    def here(match: re.Match[str]) -> str:
        name = match[0]
        if name in engine.voices or name not in VOICES:
            return name
        wanted = [VOICES[name], DEFAULT_VOICE, *sorted(engine.voices)]
        return next((known for known in wanted if known in engine.voices), name)

    return _NAME.sub(here, voice.strip())


def check_model(name: str | None, engine: EngineManifest) -> None:
    """Raise `UnknownModel` for a name that means neither the loaded model nor just any."""
    if name is None or name in {engine.model, engine.engine.value, *MODELS}:
        return
    if _DATED.sub("", name) not in MODELS:
        raise UnknownModel(
            f"This cluster speaks with {engine.model!r}; name that, or one of {', '.join(MODELS)}.",
            param="model",
        )
