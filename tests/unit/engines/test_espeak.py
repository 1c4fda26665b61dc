import hashlib
import subprocess
import sys
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.formats import SAMPLE_RATE_HZ
from shared.languages import Language
from tests.unit.engines.conftest import MakeSegment
from worker.engines.espeak import EspeakEngine, resample, timbre
from worker.engines.facts import voice_names

HELLO = {
    Language.AMERICAN_ENGLISH: "Hello, world.",
    Language.BRITISH_ENGLISH: "Hello, world.",
    Language.SPANISH: "Hola, mundo.",
    Language.FRENCH: "Bonjour tout le monde.",
    Language.HINDI: "नमस्ते दुनिया",
    Language.ITALIAN: "Ciao a tutti.",
    Language.BRAZILIAN_PORTUGUESE: "Olá, mundo.",
    Language.JAPANESE: "こんにちは、世界。",
    Language.MANDARIN: "你好，世界。",
}


@pytest.fixture(scope="module")
def engine() -> EspeakEngine:
    return EspeakEngine()


def length_s(samples: NDArray[np.float32]) -> float:
    return samples.size / SAMPLE_RATE_HZ


@pytest.mark.parametrize("language", list(Language))
def test_every_language_is_spoken(
    engine: EspeakEngine, make_segment: MakeSegment, language: Language
) -> None:
    (audio,) = engine.forward([make_segment(text=HELLO[language], language=language)])
    assert 0.5 < length_s(audio.samples) < 4
    assert audio.samples.std() > 0.01
    assert audio.durations is None


def test_british_and_american_english_differ(
    engine: EspeakEngine, make_segment: MakeSegment
) -> None:
    british, american = engine.forward(
        [make_segment(language=x) for x in (Language.BRITISH_ENGLISH, Language.AMERICAN_ENGLISH)]
    )
    assert not np.array_equal(british.samples, american.samples)


def test_it_sounds_like_speech(engine: EspeakEngine, make_segment: MakeSegment) -> None:
    (audio,) = engine.forward([make_segment()])
    assert 2 < length_s(audio.samples) < 4  # 9 words at 175 a minute are 3.1 s
    power = np.abs(np.fft.rfft(audio.samples)) ** 2
    frequency_hz = np.fft.rfftfreq(audio.samples.size, 1 / SAMPLE_RATE_HZ)
    band = (frequency_hz > 80) & (frequency_hz < 5_000)
    assert power[band].sum() > 0.9 * power.sum()
    # Syllables come 2 to 8 times a second: words and pauses alternate, unlike noise or a tone.
    frames = audio.samples[: audio.samples.size // 480 * 480].reshape(-1, 480)
    loudness = np.sqrt((frames**2).mean(axis=1))
    assert loudness.std() > 0.4 * loudness.mean()


@pytest.mark.parametrize("speed", [0.25, 0.4, 0.5, 2.0, 3.0, 4.0])
def test_length_follows_speed_beyond_what_espeak_does_itself(
    engine: EspeakEngine, make_segment: MakeSegment, speed: float
) -> None:
    text = "The quick brown fox jumps over the lazy dog, and then it runs away."
    normal, changed = engine.forward([make_segment(text=text, speed=s) for s in (1.0, speed)])
    assert length_s(normal.samples) / length_s(changed.samples) == pytest.approx(speed, rel=0.15)


def test_every_real_voice_has_a_timbre_of_its_gender() -> None:
    timbres = {name: timbre(name) for name in voice_names()}
    assert len(timbres) == 54
    assert len(set(timbres.values())) == 54
    assert all(name[1] == made.variant[0] for name, made in timbres.items())


def test_women_speak_higher_than_men(engine: EspeakEngine, make_segment: MakeSegment) -> None:
    def pitch_hz(voice: str) -> float:
        samples = engine.forward([make_segment(voice=voice, text="Aaaah.")])[0].samples
        middle = samples[samples.size // 3 :][:4096] * np.hanning(4096)
        correlation = np.fft.irfft(np.abs(np.fft.rfft(middle, 8192)) ** 2)
        lags = slice(SAMPLE_RATE_HZ // 400, SAMPLE_RATE_HZ // 60)
        return float(SAMPLE_RATE_HZ / (lags.start + correlation[lags].argmax()))

    women = [pitch_hz(voice) for voice in ("af_heart", "bf_emma", "af_sky", "ff_siwis")]
    men = [pitch_hz(voice) for voice in ("am_adam", "bm_george", "em_alex", "hm_psi")]
    assert np.median(women) > np.median(men)


def test_brackets_and_tags_are_read_and_not_obeyed(
    engine: EspeakEngine, make_segment: MakeSegment
) -> None:
    bracketed, control, tagged, plain = engine.forward(
        [
            make_segment(text=text)
            for text in ("[[h@l@U]]", "\x0190P Hello", "<break time='9s'/> Hello", "Hello")
        ]
    )
    assert length_s(bracketed.samples) > length_s(plain.samples)  # spelled, not pronounced
    assert length_s(control.samples) > length_s(plain.samples)  # "90 P", not a pitch command
    assert length_s(tagged.samples) < 6


@pytest.mark.parametrize(
    "text", ["", " ", "…", "👍🏽", "\ud800", "\x00\x01\x02", "\u202e\u200b\ufeff", "漢字と kanji"]
)
def test_odd_text_neither_crashes_nor_raises(
    engine: EspeakEngine, make_segment: MakeSegment, text: str
) -> None:
    (audio,) = engine.forward([make_segment(text=text)])
    assert audio.samples.dtype == np.float32
    assert np.isfinite(audio.samples).all()


def test_text_after_a_null_character_is_still_spoken(
    engine: EspeakEngine, make_segment: MakeSegment
) -> None:
    short, long = engine.forward([make_segment(text=t) for t in ("One", "One\x00two three four")])
    assert length_s(long.samples) > 1.5 * length_s(short.samples)


def test_thousands_of_characters_are_spoken_whole(
    engine: EspeakEngine, make_segment: MakeSegment
) -> None:
    sentence = "The quick brown fox jumps over the lazy dog. "
    once, often = engine.forward([make_segment(text=sentence * n) for n in (1, 100)])
    assert length_s(often.samples) > 90 * length_s(once.samples)
    assert np.abs(often.samples).max() <= 1


def test_it_speaks_on_beside_the_espeak_that_misaki_loads() -> None:
    code = (
        "from shared.voices import parse_voice\n"
        "from shared.languages import Language\n"
        "from worker.engines.base import SegmentInput\n"
        "from worker.engines.espeak import EspeakEngine\n"
        "engine = EspeakEngine()\n"
        "item = SegmentInput('x', 'Hello', Language('en-us'), parse_voice('af_sky'), 1.0, 0)\n"
        "before = engine.forward([item])[0].samples\n"
        "import misaki.espeak\n"
        "g2p = misaki.espeak.EspeakG2P(language='fr-fr')\n"
        "phonemes = g2p('bonjour')[0]\n"
        "for _ in range(3):\n"
        "    after = engine.forward([item])[0].samples\n"
        "    assert after.tobytes() == before.tobytes() and after.std() > 0.01\n"
        "assert g2p('bonjour')[0] == phonemes\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_every_process_renders_the_same_audio(
    engine: EspeakEngine, make_segment: MakeSegment
) -> None:
    code = (
        "import sys, hashlib\n"
        "from shared.voices import parse_voice\n"
        "from shared.languages import Language\n"
        "from worker.engines.base import SegmentInput\n"
        "from worker.engines.espeak import EspeakEngine\n"
        "for voice in sys.argv[1:]:\n"
        "    item = SegmentInput('x', 'Hello', Language('en-us'), parse_voice(voice), 1.0, 0)\n"
        "    samples = EspeakEngine().forward([item])[0].samples\n"
        "    print(hashlib.sha256(samples.tobytes()).hexdigest())\n"
    )
    one_of_each = {timbre(name).variant: name for name in voice_names()}.values()
    time.sleep(1.1)  # espeak-ng seeds itself by the second unless told otherwise
    done = subprocess.run(
        [sys.executable, "-c", code, *one_of_each], check=True, capture_output=True, text=True
    )
    audios = engine.forward([make_segment(text="Hello", voice=name) for name in one_of_each])
    expected = [hashlib.sha256(audio.samples.tobytes()).hexdigest() for audio in audios]
    assert done.stdout.split() == expected


def test_resampling_keeps_a_tone_and_its_length() -> None:
    times_s = np.arange(22_050) / 22_050
    tone = np.sin(2 * np.pi * 440 * times_s).astype(np.float32)
    resampled = resample(tone, 22_050)
    assert resampled.shape == (24_000,)
    expected = np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)
    np.testing.assert_allclose(resampled[500:-500], expected[500:-500], atol=1e-3)
    assert resample(tone[:0], 22_050).size == 0
