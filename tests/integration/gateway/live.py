"""Jobs whose segments are rendered one by one by hand, with audio that can be told apart."""

import hashlib
import io
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
from numpy.typing import NDArray

from shared.formats import AudioFormat
from shared.languages import Language
from shared.ledger.messages import NewSegment, RenderedSegment, SegmentPayload
from shared.spoken import PAUSE, SpokenSegment, SpokenSentence, SpokenWord
from tests.integration.gateway.conftest import MANIFEST, Cluster
from worker.engines.base import SegmentAudio
from worker.segment_audio import encode_segment, quantise

RATE_HZ = 24_000
Samples = NDArray[np.int16]


def tone(pitch_hz: float, seconds: float = 1.0) -> NDArray[np.float32]:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * pitch_hz * t)).astype(np.float32)


def decoded(audio_format: AudioFormat, data: bytes) -> Samples:
    """Decode by FFmpeg, back at 24 000 Hz."""
    if audio_format is AudioFormat.PCM:
        return np.frombuffer(data, "<i2")
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(io.BytesIO(data), "r") as container:
        frames = [
            part for frame in container.decode(audio=0) for part in resampler.resample(frame)
        ] + resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.int16)


def said(n: int) -> SpokenSegment:
    """Return what a studio's segment says: one word with its number, all of the second."""
    word = SpokenWord(n, n + 1, 0, 5 + len(str(n)), 0, 20 + len(str(n)))
    phonemes = word.last
    return SpokenSegment(
        phonemes, (SpokenSentence(n, n + 1, f"Tone-{n}.", 0, phonemes, 0, (word,)),)
    )


@dataclass
class Studio:
    """Plans and renders the jobs of a gateway under test."""

    cluster: Cluster
    pitches: list[float] = field(default_factory=lambda: [200.0 + 55 * n for n in range(12)])

    def plan(self, segments: int, *, pause: bool = False, final: bool = True) -> str:
        """Plan the next job into so many tones of a second, and perhaps a pause after the first."""
        claim = self.cluster.worker.claim_plan(bytes_most=10**6)
        assert claim is not None
        planned = [NewSegment(n, n + 1, payload=self._payload(n)) for n in range(segments)]
        spoken = [said(n) for n in range(segments)]
        if pause:
            planned.insert(1, NewSegment(1, 1, samples=12_000))
            spoken.insert(1, PAUSE)
        self.cluster.worker.add_segments(
            claim,
            planned,
            bytes_done=9,
            chars_done=9,
            final=final,
            warnings=[],
            spoken=spoken if claim.spec.captions else [],
        )
        return claim.uid

    def _payload(self, n: int) -> SegmentPayload:
        digest = hashlib.sha256(os.urandom(8)).hexdigest()
        return SegmentPayload(
            f"{'a' * 20}{n}",
            str(n),
            Language.AMERICAN_ENGLISH,
            "af_heart",
            1.0,
            7,
            digest,
            MANIFEST.fingerprint,
        )

    def render(self, most: int = 1, *, store: bool = True) -> int:
        """Render the next segments; return how many."""
        worker = self.cluster.worker
        claims = worker.claim_segments(most)
        done = []
        for claim in claims:
            samples = tone(self.pitches[int(claim.payload.text) % len(self.pitches)])
            key = f"segments/{claim.payload.hash[:2]}/{claim.payload.hash}/{claim.token}.wav"
            if store:
                self.cluster.storage.put(key, encode_segment(SegmentAudio(samples, None)))
            done.append(RenderedSegment(claim, key, samples.size))
        worker.finish_segments(done, synthesis_s=0.1, engine=MANIFEST)
        return len(claims)

    def whole(self, segments: int, *, pause: bool = False) -> Samples:
        """Return the samples that a job so planned has in the end."""
        parts = [quantise(tone(self.pitches[n])) for n in range(segments)]
        if pause:
            parts.insert(1, np.zeros(12_000, np.int16))
        return np.concatenate(parts)


@dataclass
class Listener:
    """Takes in one answer in a thread of its own."""

    url: str
    method: str = "GET"
    json: Any = None
    status: int = 0
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    data: bytearray = field(default_factory=bytearray)
    error: httpx.HTTPError | None = None
    first_at: float = 0.0
    ended_at: float = 0.0
    thread: threading.Thread | None = None
    leave: threading.Event = field(default_factory=threading.Event)

    def start(self) -> "Listener":
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()
        return self

    def _listen(self) -> None:
        try:
            with (
                httpx.Client(timeout=60, trust_env=False) as client,
                client.stream(self.method, self.url, json=self.json) as answer,
            ):
                self.status, self.headers = answer.status_code, answer.headers
                for chunk in answer.iter_raw():
                    self.first_at = self.first_at or time.monotonic()
                    self.data += chunk
                    if self.leave.is_set():
                        return
        except httpx.HTTPError as error:
            self.error = error
        finally:
            self.ended_at = time.monotonic()

    def until(self, question: Callable[[], Any], timeout_s: float = 30) -> None:
        deadline = time.monotonic() + timeout_s
        while not question():
            assert time.monotonic() < deadline, (self.status, len(self.data), self.error)
            time.sleep(0.01)

    def end(self) -> bytes:
        """Wait for the answer's end, and return its body."""
        assert self.thread is not None
        self.thread.join(60)
        assert not self.thread.is_alive()
        return bytes(self.data)


def encoder_pids(parent: int | None = None) -> list[int]:
    """Return the encoder processes that a process, by default this very one, has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == (parent or os.getpid()) and b"worker.live_encoding" in command:
            found.append(int(path.parent.name))
    return found


def kill(pid: int) -> None:
    """End a process as a crash would."""
    os.kill(pid, signal.SIGKILL)
