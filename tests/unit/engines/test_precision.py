"""What `fast` may change: the last digits of the audio, never a duration, and never in secret."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.upstream import (
    heard_harmonics,
    load_network,
    log_mel_distance,
    relative_rms,
    render,
    snr_db,
)
from shared.formats import AudioFormat
from shared.languages import Language
from shared.ledger.messages import PlanClaim
from shared.ledger.records import JobSpec
from shared.voices import parse_voice
from tests.unit.engines.conftest import MakeSegment
from worker.engines.kokoro import KokoroEngine
from worker.engines.network.network import Network
from worker.engines.runner import Prepared
from worker.engines.voicepacks import VoicePacks
from worker.planning import segment_hash

LEAST_SNR_DB = 33.0
"""Measured for bfloat16: 37 on the tiny checkpoint, 39 at full size. Two runs of `exact` that
round differently and hear sources of their own are 20 to 30 dB apart."""
MOST_LOG_MEL = 0.01
"""A twelfth of a decibel. Measured 0.0056 and 0.0048; two runs of `exact` 0.003 to 0.03."""


def check(samples: Tensor, reference: Tensor) -> None:
    assert snr_db(samples, reference) >= LEAST_SNR_DB
    assert log_mel_distance(samples, reference) <= MOST_LOG_MEL


def test_wide_convolutions_in_16_bits_keep_every_duration_and_nearly_every_sample(
    tiny_checkpoint: Path,
) -> None:
    exact = load_network(tiny_checkpoint)
    halved = load_network(tiny_checkpoint).halve(torch.bfloat16)
    voices = VoicePacks(tiny_checkpoint / "voices", "cpu")
    chance = torch.Generator().manual_seed(1)
    for length, voice, speed in [(14, "af_heart", 1.0), (3, "bf_emma", 0.6), (25, "af_sky", 2.0)]:
        ids = torch.randint(1, 170, (length,), generator=chance).tolist()
        style = voices.row(parse_voice(voice), length).squeeze(0)
        item = Prepared((0, *ids, 0), style, speed, seed=length)
        wanted, durations, heard = render(exact, [item])
        samples, found, _ = render(halved, [item], harmonics=heard)
        assert torch.equal(found, durations)
        check(samples[0], wanted[0])
        # Pitch and phase keep their bits, or the source would drift away.
        _, _, own = render(halved, [item])
        assert relative_rms(own, heard) < 0.5


def load(folder: Path, precision: str) -> KokoroEngine:
    return KokoroEngine.load(str(folder), device="cpu", precision=precision)


def network_of(engine: KokoroEngine) -> Network:
    runner: Any = engine._runner
    network: Network = runner._network
    return network


@pytest.fixture(scope="module")
def exact(tiny_checkpoint: Path) -> KokoroEngine:
    return load(tiny_checkpoint, "exact")


@pytest.fixture(scope="module")
def fast(tiny_checkpoint: Path) -> KokoroEngine:
    return load(tiny_checkpoint, "fast")


@pytest.mark.parametrize(
    "spoken",
    [
        {"phonemes": "ðə kwˈɪk bɹˈWn fˈɑks.", "voice": "af_heart", "speed": 1.0},
        {"phonemes": "hˈI.", "voice": "bf_emma", "speed": 0.6},
        {"phonemes": "ʤˈʌmps ˌOvəɹ ðə lˈAzi dˈɔɡ, wˈʌns.", "voice": "jf_alpha", "speed": 2.0},
    ],
    ids=lambda spoken: spoken["voice"],
)
def test_the_fast_engine_keeps_every_duration_and_nearly_every_sample(
    exact: KokoroEngine, fast: KokoroEngine, make_segment: MakeSegment, spoken: dict[str, Any]
) -> None:
    segment = make_segment(**spoken)
    with heard_harmonics(network_of(exact)) as heard:
        (reference,) = exact.forward([segment])
    with heard_harmonics(network_of(fast), heard[0]):
        (audio,) = fast.forward([segment])
    assert reference.durations is not None and audio.durations is not None
    assert audio.durations.tolist() == reference.durations.tolist()
    check(torch.from_numpy(audio.samples), torch.from_numpy(reference.samples))


def test_the_distances_are_what_they_say() -> None:
    chance = torch.Generator().manual_seed(0)
    sound = 0.1 * torch.randn(24_000, generator=chance)
    other = torch.randn(24_000, generator=chance)
    assert log_mel_distance(sound, sound) == 0
    assert log_mel_distance(0.9 * sound, sound) == pytest.approx(0.1054, rel=0.02)  # -ln 0.9
    assert snr_db(0.9 * sound, sound) == pytest.approx(20, rel=1e-4)
    apart = sound + other * sound.norm() / other.norm()
    assert relative_rms(apart, sound) == pytest.approx(1, rel=1e-4)


def claim(engine: KokoroEngine) -> PlanClaim:
    spec = JobSpec("af_heart", Language.AMERICAN_ENGLISH, 1.0, (AudioFormat.WAV,), "kokoro")
    return PlanClaim(
        uid="u",
        token="t",
        text=b"",
        bytes_done=0,
        chars_done=0,
        spec=spec,
        owner="o",
        engine=engine.manifest.stamp(spec.mix),
        id="job_1",
        segments_total=0,
        more=False,
    )


def test_the_precision_is_part_of_what_a_segment_is_known_by(
    exact: KokoroEngine, fast: KokoroEngine
) -> None:
    assert (exact.manifest.precision, fast.manifest.precision) == ("exact", "fast")
    assert exact.manifest.fingerprint != fast.manifest.fingerprint
    assert exact.manifest.voices == fast.manifest.voices
    hashes = {segment_hash(claim(engine), "hˈI.", "Hi.") for engine in (exact, fast)}
    assert len(hashes) == 2
