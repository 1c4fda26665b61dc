"""From a setting's name to a loaded engine, importing that engine and no other."""

from shared.errors import InvalidSettings, ModelUnavailable
from shared.manifest import EngineName
from worker.engines.base import Engine

PRECISIONS = ("exact", "fast")


def load_engine(*, engine: EngineName, model: str, device: str, precision: str) -> Engine:
    """Load an engine; call it once, in the process that renders.

    Args:
        engine: which one.
        model: for `kokoro` a folder or a hub repository such as `hexgrad/Kokoro-82M`; for
            `scripted` its script; `espeak` has no choice and ignores it.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; only `kokoro` computes on it.
        precision: `exact` or `fast`; only `kokoro` has a choice.

    Raises:
        InvalidSettings: a value is not one of these.
        ModelUnavailable: what the engine needs is not there; the message says the remedy.
    """
    if precision not in PRECISIONS:
        raise InvalidSettings(
            f"KC_PRECISION={precision!r} is not a precision. Use exact or fast.",
            param="KC_PRECISION",
        )
    # Importing here keeps torch out of a process that speaks without it.
    match engine:
        case EngineName.KOKORO:
            try:
                from worker.engines.kokoro import KokoroEngine
            except ModuleNotFoundError as error:
                raise ModelUnavailable(
                    f"The package {error.name!r} is missing: pip install 'kokoro-cluster[synth]'."
                ) from error
            return KokoroEngine.load(model, device=device, precision=precision)
        case EngineName.ESPEAK:
            from worker.engines.espeak import EspeakEngine

            return EspeakEngine()
        case EngineName.SCRIPTED:
            from worker.engines.scripted import ScriptedEngine, parse_script

            return ScriptedEngine(parse_script(model))
