"""A double for tests and load benchmarks: tones of believable length, and faults on demand.

In: segments, some with a fault's name in their text. Out: a tone each, or the fault.
"""

import hashlib
import os
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np

from shared.errors import DeviceLost, EngineFailed, InvalidSettings, OutOfDeviceMemory
from shared.formats import SAMPLE_RATE_HZ
from shared.manifest import EngineManifest, EngineName
from shared.steps import note
from worker.engines.base import MAX_PHONEMES, SegmentAudio, SegmentInput
from worker.engines.facts import voice_names

PHONEME_S = 0.07
"""Length of a phoneme at speed 1."""

_CODE_VERSION = 2  # raise it when the tones change


class Fault(StrEnum):
    """A word that makes the engine fail when it stands in a segment's text."""

    RAISE = "KC-FAULT-RAISE"
    """`forward` raises `EngineFailed`."""
    SILENT = "KC-FAULT-SILENT"
    """The segment's audio is silence of the right length."""
    NAN = "KC-FAULT-NAN"
    """The segment's audio holds a not-a-number."""
    HANG = "KC-FAULT-HANG"
    """`forward` never returns."""
    KILL = "KC-FAULT-KILL"
    """The process dies of SIGKILL, as of the kernel's out-of-memory killer."""
    KILL_PARENT = "KC-FAULT-PARENT"
    """Its parent does, and the process with it."""
    POISON = "KC-FAULT-POISON"
    """`forward` raises `DeviceLost`, as of an illegal address that this very segment leads to."""


@dataclass(frozen=True)
class Script:
    """What the double pretends to cost.

    Attributes:
        load_s: seconds that loading takes.
        sleep_s: seconds each `forward` takes, however many segments it has.
        sleep_per_audio_s: seconds each second of audio takes on top.
        room: segments that the device's memory has room for at a time; 0: for all.
        leak_kib: memory each `forward` keeps for ever.
        weights: which of several pretended weights are loaded: part of the fingerprint.
        leak_device_mib: memory of a device that it has not which each `forward` keeps for ever;
            0: there is no device.
        raise_every: of so many calls of `forward` in a process the last raises `EngineFailed`;
            0: none.
        lost_after: from this `forward` of a process on, the first being 1, each raises
            `DeviceLost`, as on a sick device; 0: none.
    """

    load_s: float = 0.0
    sleep_s: float = 0.0
    sleep_per_audio_s: float = 0.0
    room: float = 0.0
    leak_kib: float = 0.0
    weights: float = 0.0
    leak_device_mib: float = 0.0
    raise_every: float = 0.0
    lost_after: float = 0.0


def parse_script(text: str) -> Script:
    """Parse `scripted`, or `scripted:sleep_s=0.05,load_s=2`; an empty text is `scripted`.

    Raises:
        InvalidSettings: the text is anything else.
    """
    known = {field.name for field in fields(Script)}
    values: dict[str, float] = {}
    head, _, rest = text.partition(":")
    for item in rest.split(",") if rest else []:
        name, _, number = item.partition("=")
        if name not in known or name in values or not re.fullmatch(r"\d+(\.\d+)?", number):
            head = ""
            break
        values[name] = float(number)
    if head != "scripted" and text:
        raise InvalidSettings(
            f"KC_MODEL={text!r} is no script. Write scripted:name=seconds,… with names from "
            f"{', '.join(sorted(known))}.",
            param="KC_MODEL",
        )
    return Script(**values)


class ScriptedEngine:
    """An engine without a model; satisfies `Engine`."""

    def __init__(self, script: Script | None = None) -> None:
        self._script = script or Script()
        self._leaked: list[bytes] = []
        self._calls = 0
        time.sleep(self._script.load_s)
        weights = f":{self._script.weights}" if self._script.weights else ""
        self._manifest = EngineManifest(
            engine=EngineName.SCRIPTED,
            model="scripted",
            fingerprint=_digest(f"scripted:{_CODE_VERSION}{weights}").hex(),
            stand_in=True,
            precision="exact",
            voices={name: _digest(f"scripted:{name}").hex() for name in voice_names()},
            uses_text=True,  # faults stand in the text
        )

    @property
    def manifest(self) -> EngineManifest:
        """What was loaded."""
        return self._manifest

    @property
    def batch_most(self) -> int:
        """Many, so that settings alone decide."""
        return 64

    @property
    def batch_phonemes(self) -> int:
        """As many as `batch_most` of the longest have."""
        return 64 * MAX_PHONEMES

    def device_memory(self) -> tuple[int, int] | None:
        """Return (used, total) bytes of the device that the script pretends; None if it doesn't."""
        if not self._script.leak_device_mib:
            return None
        return int(self._calls * self._script.leak_device_mib * 1024 * 1024), 2**36

    def forward(self, segments: Sequence[SegmentInput]) -> list[SegmentAudio]:
        """Return a tone for each segment, after the script's pauses and the texts' faults.

        Raises:
            EngineFailed: a text or the script asked for it.
            DeviceLost: a text or the script asked for it.
            OutOfDeviceMemory: there are more segments than the script has room for.
            UnknownVoice: a segment names a voice that is not loaded.
        """
        self._calls += 1
        if 0 < self._script.lost_after <= self._calls:
            raise DeviceLost(f"The script's device is lost from call {self._calls} on.")
        if self._script.raise_every and not self._calls % self._script.raise_every:
            raise EngineFailed(f"The script fails every call like its {self._calls}th.")
        if 0 < self._script.room < len(segments):
            raise OutOfDeviceMemory(f"No room for {len(segments)} segments.")
        for segment in segments:
            segment.voice.check(self._manifest.voices)
        _commit_faults(segments)
        if self._script.leak_kib:
            self._leaked.append(b"x" * int(self._script.leak_kib * 1024))
        audios = [_tone(segment) for segment in segments]
        audio_s = sum(audio.samples.size for audio in audios) / SAMPLE_RATE_HZ
        time.sleep(self._script.sleep_s + self._script.sleep_per_audio_s * audio_s)
        return audios


def _commit_faults(segments: Sequence[SegmentInput]) -> None:
    for segment in segments:
        if Fault.KILL in segment.text:
            note("cut", how=Fault.KILL)
            os.kill(os.getpid(), signal.SIGKILL)
        if Fault.KILL_PARENT in segment.text:
            note("cut", how=Fault.KILL_PARENT)
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(3600)
        while Fault.HANG in segment.text:
            time.sleep(3600)
        if Fault.RAISE in segment.text:
            raise EngineFailed(f"A segment's text asked for {Fault.RAISE}.")
        if Fault.POISON in segment.text:
            raise DeviceLost(f"A segment's text asked for {Fault.POISON}.")


def _tone(segment: SegmentInput) -> SegmentAudio:
    digest = _digest(f"{segment.phonemes}|{segment.voice}|{segment.seed}")
    pitch_hz = 120 + int.from_bytes(digest[:4], "big") % 360
    count = max(1, round(len(segment.phonemes) * PHONEME_S / segment.speed * SAMPLE_RATE_HZ))
    # One second of a whole number of waves, again and again: the double's own arithmetic must not
    # weigh in what is measured around it.
    times_s = np.arange(min(count, SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    second = (0.2 * np.sin(2 * np.pi * pitch_hz * times_s)).astype(np.float32)
    samples = np.resize(second, count)
    if Fault.SILENT in segment.text:
        samples[:] = 0
    if Fault.NAN in segment.text:
        samples[count // 2] = np.nan
    return SegmentAudio(samples=samples, durations=None)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
