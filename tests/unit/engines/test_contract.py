"""What every engine promises, whatever makes its sound."""

import numpy as np
import pytest

from shared.errors import UnknownVoice
from shared.formats import SAMPLE_RATE_HZ
from shared.manifest import EngineManifest, EngineName
from tests.unit.engines.conftest import MakeSegment
from worker.engines.base import Engine
from worker.engines.loading import load_engine
from worker.engines.plausibility import check_audio


@pytest.fixture(params=list(EngineName))
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param is EngineName.KOKORO:
        loaded: Engine = request.getfixturevalue("kokoro_engine")
        return loaded
    return load_engine(engine=request.param, model="", device="auto", precision="exact")


def test_an_empty_batch_gives_nothing(engine: Engine) -> None:
    assert engine.forward([]) == []


def test_each_segment_gets_its_own_audio_in_order(
    engine: Engine, make_segment: MakeSegment
) -> None:
    segments = [
        make_segment(phonemes="ə" * n, text="word " * n, speed=speed, seed=n)
        for n, speed in [(4, 1.0), (40, 1.0), (30, 2.0)]
    ]
    together = engine.forward(segments)
    alone = [engine.forward([segment])[0] for segment in segments]
    assert [a.samples.size for a in together] == [a.samples.size for a in alone]
    assert together[0].samples.size < together[2].samples.size < together[1].samples.size


def test_audio_depends_on_neither_neighbours_nor_position(
    engine: Engine, make_segment: MakeSegment
) -> None:
    segment = make_segment(seed=7)
    other = make_segment(phonemes="hˈI.", text="Hi.", voice="bf_emma", seed=3)
    (alone,) = engine.forward([segment])
    for batch, place in [
        ([other, segment], 1),
        ([segment, other], 0),
        ([other] * 2 + [segment], 2),
    ]:
        np.testing.assert_array_equal(engine.forward(batch)[place].samples, alone.samples)


def test_rendering_leaves_the_global_random_state_alone(
    engine: Engine, make_segment: MakeSegment
) -> None:
    state = np.random.get_state(legacy=False)["state"]["key"]
    engine.forward([make_segment()])
    np.testing.assert_array_equal(np.random.get_state(legacy=False)["state"]["key"], state)


def test_twice_the_speed_takes_about_half_the_time(
    engine: Engine, make_segment: MakeSegment
) -> None:
    slow, normal, fast = (
        engine.forward([make_segment(speed=speed)])[0].samples.size for speed in (0.5, 1.0, 2.0)
    )
    assert slow / normal == pytest.approx(2, rel=0.3)
    assert normal / fast == pytest.approx(2, rel=0.3)


def test_the_ends_of_the_speed_range_are_rendered(
    engine: Engine, make_segment: MakeSegment
) -> None:
    for speed in (0.25, 4.0):
        segment = make_segment(speed=speed)
        check_audio(engine.forward([segment])[0], segment)


def test_voices_and_mixes_sound_different(engine: Engine, make_segment: MakeSegment) -> None:
    names = ["af_heart", "bf_emma", "af_heart+bf_emma", "af_heart(3)+bf_emma(1)"]
    audios = [engine.forward([make_segment(voice=name)])[0].samples for name in names]
    assert len({audio.tobytes() for audio in audios}) == len(names)


def test_an_unknown_voice_is_refused_alone_or_in_a_mix(
    engine: Engine, make_segment: MakeSegment
) -> None:
    for name in ("af_nobody", "af_heart+af_nobody"):
        with pytest.raises(UnknownVoice, match="af_nobody"):
            engine.forward([make_segment(), make_segment(voice=name)])


def test_audio_is_plausible_mono_float32(engine: Engine, make_segment: MakeSegment) -> None:
    segment = make_segment()
    (audio,) = engine.forward([segment])
    check_audio(audio, segment)
    assert audio.samples.dtype == np.float32
    assert 1 < audio.samples.size / SAMPLE_RATE_HZ < 6


def test_the_manifest_is_complete_and_survives_the_wire(engine: Engine) -> None:
    manifest = engine.manifest
    assert EngineManifest.from_json(manifest.to_json()) == manifest
    digests = [manifest.fingerprint, *manifest.voices.values()]
    assert all(len(digest) == 64 and int(digest, 16) >= 0 for digest in digests)
    assert len(set(digests)) == len(digests)
    assert "af_heart" in manifest.voices
    assert manifest.stand_in is (manifest.engine is not EngineName.KOKORO)
