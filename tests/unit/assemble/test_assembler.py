"""Every format holds all of the audio, or there is no file."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from shared.errors import (
    DamagedSegment,
    DiskFull,
    EncodingFailed,
    IncompleteAudio,
    StorageUnavailable,
)
from shared.formats import FORMATS, AudioFormat
from worker.assemble import encoders
from worker.assemble.assembler import AssemblyItem, EncodedFile, Pause, assemble, pause_samples
from worker.assemble.encoders import AAC_DELAY_SAMPLES
from worker.engines.base import SegmentAudio
from worker.segment_audio import encode_segment, quantise

RATE_HZ = 24_000
LOSSLESS = [AudioFormat.WAV, AudioFormat.FLAC, AudioFormat.PCM]
LOSSY = [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.AAC]

Samples = NDArray[np.int16]


def voice(seconds: float, pitch_hz: float = 140) -> NDArray[np.float32]:
    """Syllables of a gliding, harmonic tone: what a speech codec is made for."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(pitch_hz + 25 * np.sin(2 * np.pi * 0.7 * t)) / RATE_HZ
    tone = sum(np.sin(k * phase + k) / k for k in range(1, 12))
    return (0.2 * tone * (0.55 - 0.45 * np.cos(2 * np.pi * 3 * t))).astype(np.float32)


def book() -> tuple[list[AssemblyItem], Samples]:
    """Three segments of odd lengths and a pause, and the samples they make."""
    parts = [voice(3.0123), voice(2.7001, 210), voice(4.1999, 95)]
    first, second, third = (encode_segment(SegmentAudio(part, None)) for part in parts)
    whole = np.concatenate(
        [quantise(parts[0]), quantise(parts[1]), np.zeros(36_000, np.int16), quantise(parts[2])]
    )
    return [first, second, Pause(1.5), third], whole


def decoded(file: EncodedFile) -> Samples:
    """Decode by FFmpeg, back at 24 000 Hz."""
    if file.format is AudioFormat.PCM:
        return np.fromfile(file.path, "<i2")
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(str(file.path)) as container:
        frames = [
            part for frame in container.decode(audio=0) for part in resampler.resample(frame)
        ] + resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.int16)


def likeness(a: Samples, b: Samples) -> float:
    return float(np.corrcoef(a.astype(np.float64), b.astype(np.float64))[0, 1])


def one(audio_format: AudioFormat, folder: Path) -> tuple[EncodedFile, Samples]:
    items, whole = book()
    (file,) = assemble(items, [audio_format], folder, total_samples=whole.size)
    return file, whole


@pytest.mark.parametrize("audio_format", LOSSLESS)
def test_lossless_formats_hold_every_sample_as_it_was(
    audio_format: AudioFormat, tmp_path: Path
) -> None:
    file, whole = one(audio_format, tmp_path)
    assert np.array_equal(decoded(file), whole)


@pytest.mark.parametrize("audio_format", [AudioFormat.MP3, AudioFormat.OPUS])
def test_mp3_and_opus_play_at_their_exact_length_and_in_place(
    audio_format: AudioFormat, tmp_path: Path
) -> None:
    file, whole = one(audio_format, tmp_path)
    heard = decoded(file)
    assert heard.size == whole.size
    assert likeness(heard, whole) > 0.98
    for part in (slice(0, 24_000), slice(-24_000, None)):
        assert likeness(heard[part], whole[part]) > 0.98


def test_aac_is_late_by_the_documented_delay_and_loses_nothing(tmp_path: Path) -> None:
    file, whole = one(AudioFormat.AAC, tmp_path)
    heard = decoded(file)
    assert AAC_DELAY_SAMPLES <= heard.size - whole.size < AAC_DELAY_SAMPLES + 1024
    in_place = heard[AAC_DELAY_SAMPLES : AAC_DELAY_SAMPLES + whole.size]
    assert likeness(in_place, whole) > 0.98
    assert likeness(in_place[-24_000:], whole[-24_000:]) > 0.98


@pytest.mark.parametrize("audio_format", LOSSY)
def test_joins_between_segments_do_not_click(audio_format: AudioFormat, tmp_path: Path) -> None:
    whole = quantise(voice(6))
    cuts = [0, 24_001, 50_000, 50_007, 99_999, whole.size]
    pieces: list[AssemblyItem] = [
        encode_segment(SegmentAudio((whole[a:b] / 32767).astype(np.float32), None))
        for a, b in pairwise(cuts)
    ]
    (file,) = assemble(pieces, [audio_format], tmp_path, total_samples=whole.size)
    unbroken: list[AssemblyItem] = [
        encode_segment(SegmentAudio((whole / 32767).astype(np.float32), None))
    ]
    (same,) = assemble(unbroken, [audio_format], tmp_path, total_samples=whole.size)
    assert np.array_equal(decoded(file), decoded(same))


def test_libsndfile_agrees_on_the_length_of_what_it_reads(tmp_path: Path) -> None:
    readable = [AudioFormat.WAV, AudioFormat.FLAC, AudioFormat.MP3, AudioFormat.OPUS]
    items, whole = book()
    for file in assemble(items, readable, tmp_path, total_samples=whole.size):
        info = soundfile.info(file.path)
        assert info.frames * RATE_HZ // info.samplerate == whole.size, file.format


def test_the_bytes_are_what_the_media_type_says(tmp_path: Path) -> None:
    items, whole = book()
    files = assemble(items, list(AudioFormat), tmp_path, total_samples=whole.size)
    starts = {file.format: file.path.read_bytes()[:64] for file in files}
    assert starts[AudioFormat.WAV][:4] == b"RIFF"
    assert starts[AudioFormat.FLAC][:4] == b"fLaC"
    assert starts[AudioFormat.OPUS][:4] == b"OggS"
    assert b"OpusHead" in starts[AudioFormat.OPUS]
    assert starts[AudioFormat.MP3][:3] == b"ID3"
    assert starts[AudioFormat.AAC][:2] in (b"\xff\xf1", b"\xff\xf9")
    assert all(file.path.suffix == f".{FORMATS[file.format].extension}" for file in files)


def test_one_pass_over_the_items_makes_all_formats(tmp_path: Path) -> None:
    items, whole = book()
    read = []

    def once() -> Iterator[AssemblyItem]:
        for number, item in enumerate(items):
            read.append(number)
            yield item

    files = assemble(once(), list(AudioFormat), tmp_path, total_samples=whole.size)
    assert read == [0, 1, 2, 3]
    assert [file.format for file in files] == list(AudioFormat)
    for file in files:
        assert file.audio_s == whole.size / RATE_HZ
        assert file.bytes == file.path.stat().st_size
        assert file.sha256 == hashlib.sha256(file.path.read_bytes()).hexdigest()
    assert sorted(tmp_path.iterdir()) == sorted(file.path for file in files)


def test_the_same_audio_gives_the_same_files(tmp_path: Path) -> None:
    items, whole = book()
    first = assemble(items, list(AudioFormat), tmp_path, total_samples=whole.size)
    second = assemble(items, list(AudioFormat), tmp_path, total_samples=whole.size)
    assert [file.sha256 for file in first] == [file.sha256 for file in second]


def test_a_pause_is_exactly_its_seconds_of_zeros(tmp_path: Path) -> None:
    assert pause_samples(1.5) == 36_000
    items: list[AssemblyItem] = [Pause(1.5)]
    (file,) = assemble(items, [AudioFormat.PCM], tmp_path, total_samples=36_000)
    assert file.path.read_bytes() == bytes(72_000)


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_no_audio_at_all_is_a_valid_file(audio_format: AudioFormat, tmp_path: Path) -> None:
    (file,) = assemble([Pause(0)], [audio_format], tmp_path, total_samples=0)
    assert file.audio_s == 0


@pytest.mark.parametrize("off", [-1, 1, -30_000, 30_000])
def test_a_hole_or_a_surplus_is_never_a_success(off: int, tmp_path: Path) -> None:
    items, whole = book()
    with pytest.raises(IncompleteAudio):
        assemble(items, list(AudioFormat), tmp_path, total_samples=whole.size + off)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_segment_leaves_no_file(tmp_path: Path) -> None:
    items, whole = book()
    assert isinstance(items[1], bytes)
    with pytest.raises(DamagedSegment):
        assemble([items[0], items[1][:-2]], list(AudioFormat), tmp_path, total_samples=whole.size)
    assert list(tmp_path.iterdir()) == []


def test_what_the_items_raise_is_passed_on_and_leaves_no_file(tmp_path: Path) -> None:
    def failing() -> Iterator[AssemblyItem]:
        yield Pause(1)
        raise StorageUnavailable()

    with pytest.raises(StorageUnavailable):
        assemble(failing(), list(AudioFormat), tmp_path, total_samples=48_000)
    assert list(tmp_path.iterdir()) == []


def test_the_callback_can_end_the_work_between_items(tmp_path: Path) -> None:
    calls = []

    def cancel() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        assemble(
            [Pause(1)] * 3, [AudioFormat.MP3], tmp_path, total_samples=72_000, on_progress=cancel
        )
    assert len(calls) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_from_other_failures_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, block: Samples) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encoders.RawEncoder, "write", full)
    with pytest.raises(DiskFull, match="No space left"):
        assemble([Pause(1)], list(AudioFormat), tmp_path, total_samples=24_000)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EncodingFailed):
        assemble([Pause(1)], [AudioFormat.WAV], tmp_path / "file" / "x", total_samples=24_000)


def test_a_format_named_twice_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="once"):
        assemble([], [AudioFormat.WAV, AudioFormat.WAV], tmp_path, total_samples=0)


def test_many_assemblies_share_a_folder(tmp_path: Path) -> None:
    items, whole = book()

    def run(_: int) -> list[EncodedFile]:
        return assemble(items, list(AudioFormat), tmp_path, total_samples=whole.size)

    with ThreadPoolExecutor(4) as pool:
        files = [file for some in pool.map(run, range(4)) for file in some]
    assert len({file.path for file in files}) == 4 * len(AudioFormat)
    assert len({file.sha256 for file in files}) == len(AudioFormat)


def test_assembly_loads_no_torch() -> None:
    code = (
        "import sys, worker.assemble.assembler; assert not {'torch', 'kokoro'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


PEAK = """
import resource, sys, tempfile
from pathlib import Path
import numpy as np
from shared.formats import AudioFormat
from worker.assemble.assembler import assemble
from worker.engines.base import SegmentAudio
from worker.segment_audio import encode_segment
minutes = int(sys.argv[1])  # one holds 2.7 MiB of samples
t = np.arange(20 * 24000) / 24000
audio = SegmentAudio((0.3 * np.sin(2 * np.pi * 150 * t)).astype(np.float32), None)
items = (encode_segment(audio) for _ in range(3 * minutes))
assemble(items, list(AudioFormat), Path(sys.argv[2]), total_samples=minutes * 60 * 24000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak_mib(minutes: int, folder: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(minutes), str(folder)],
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )
    return float(done.stdout)


@pytest.mark.slow
def test_five_minutes_take_no_more_memory_than_one(tmp_path: Path) -> None:
    assert peak_mib(5, tmp_path) < peak_mib(1, tmp_path) + 6
