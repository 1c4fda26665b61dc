"""Names that clients have built in, and what they mean here."""

import pytest

from gateway.errors import UnknownModel
from gateway.speech_names import VOICES, check_model, voice_here
from shared.manifest import EngineManifest, EngineName
from worker.engines.facts import voice_names


def engine(*voices: str) -> EngineManifest:
    loaded = dict.fromkeys(voices or voice_names(), "0" * 64)
    return EngineManifest(EngineName.KOKORO, "hexgrad/Kokoro-82M", "f" * 64, False, "exact", loaded)


def test_every_name_means_a_voice_of_kokoros() -> None:
    assert set(VOICES.values()) <= set(voice_names())
    for name, voice in VOICES.items():
        assert voice_here(name, engine()) == voice


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("alloy+echo", "am_adam+af_bella"),
        ("alloy(2)+ af_sky(1)", "am_adam(2)+ af_sky(1)"),
        (" af_heart ", "af_heart"),
        ("alloyed", "alloyed"),
        ("alloy-echo", "alloy-af_bella"),  # no mix, and refused as such
        ("", ""),
    ],
)
def test_names_are_replaced_in_mixes_too(asked: str, meant: str) -> None:
    assert voice_here(asked, engine()) == meant


def test_a_name_means_another_voice_where_its_own_is_not_loaded() -> None:
    assert voice_here("alloy", engine("af_heart", "zz_top")) == "af_heart"
    assert voice_here("alloy", engine("zz_top")) == "zz_top"
    assert voice_here("alloy", engine("alloy", "am_adam")) == "alloy"


def test_models_that_clients_have_built_in_mean_the_one_that_is_loaded() -> None:
    for name in (None, "kokoro", "tts-1", "tts-1-hd", "gpt-4o-mini-tts", "hexgrad/Kokoro-82M"):
        check_model(name, engine())
    check_model("gpt-4o-mini-tts-2025-12-15", engine())
    for name in ("whisper-1", "tts-2", "", "tts-1-2025"):
        with pytest.raises(UnknownModel):
            check_model(name, engine())
