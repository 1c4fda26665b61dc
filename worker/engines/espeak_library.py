"""The espeak-ng library through ctypes: text in, 16-bit samples out.

Only for `worker.engines.espeak`; the library is the one that the package espeakng_loader carries.
"""

import _ctypes
import contextlib
import ctypes
import os
import shutil
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import EngineFailed, ModelUnavailable

# From espeak-ng's speak_lib.h.
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_SLOWEST_WPM = 80

_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Speech:
    """What the library is asked to say.

    Attributes:
        text: without control characters, which the library takes as commands.
        voice: a language and a variant, such as `en-us+f2`.
        rate_wpm: words a minute; above 450 or below 80 the library's time stretching helps.
        pitch: 0 to 99, 50 is the variant's own.
        pitch_range: 0 to 99, 50 is the variant's own.
    """

    text: str
    voice: str
    rate_wpm: int
    pitch: int
    pitch_range: int


@dataclass(frozen=True)
class _Location:
    library: str
    ours: str
    data: bytes


def speak(speech: Speech) -> tuple[NDArray[np.int16], int]:
    """Return int16 (samples,), mono, and their rate in Hz.

    The library keeps hidden state (noise, flutter, phase) from one utterance to the next, which
    neither its seed nor `espeak_Terminate` resets. It is unloaded after each, so that an
    utterance never depends on the one before; loading it again takes about a millisecond.

    Raises:
        EngineFailed: the library reported an error.
        ModelUnavailable: the library cannot be loaded.
    """
    chunks: list[bytes] = []

    def receive(wave: int | None, count: int, _events: int | None) -> int:
        if wave and count > 0:
            chunks.append(ctypes.string_at(wave, 2 * count))
        return 0

    callback = _CALLBACK(receive)
    with _one_at_a_time:
        library = _load()
        try:
            rate_hz = _initialize(library)
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else it is the time of day
            library.espeak_SetSynthCallback(callback)
            _check("choose the voice", library.espeak_SetVoiceByName(speech.voice.encode()))
            for parameter, value in (
                (_RATE, max(speech.rate_wpm, _SLOWEST_WPM)),
                (_PITCH, speech.pitch),
                (_RANGE, speech.pitch_range),
            ):
                _check("set a parameter", library.espeak_SetParameter(parameter, value, 0))
            text = speech.text.encode("utf-8", "replace") + b"\0"
            status = library.espeak_Synth(
                text, ctypes.c_size_t(len(text)), 0, 0, 0, _CHARS_UTF8, None, None
            )
            _check("speak", status)
            samples = np.frombuffer(b"".join(chunks), dtype=np.int16)
            if 0 < speech.rate_wpm < _SLOWEST_WPM and samples.size:
                samples = _stretch(library, samples, speech.rate_wpm / _SLOWEST_WPM, rate_hz)
            library.espeak_Terminate()
        finally:
            _ctypes.dlclose(library._handle)
    return samples, rate_hz


@cache
def library_version() -> str:
    """Return the library's version, for example `1.52.0`.

    Raises:
        ModelUnavailable: the library cannot be loaded.
    """
    with _one_at_a_time:
        library = _load()
        try:
            _initialize(library)
            library.espeak_Info.restype = ctypes.c_char_p
            version: bytes = library.espeak_Info(ctypes.byref(ctypes.c_char_p()))
            library.espeak_Terminate()
        finally:
            _ctypes.dlclose(library._handle)
    return version.decode().split()[0]


@cache
def _location() -> _Location:
    try:
        import espeakng_loader  # noqa: PLC0415 - an optional dependency

        library = espeakng_loader.get_library_path()
        return _Location(library, _own_copy(library), espeakng_loader.get_data_path().encode())
    except (ImportError, RuntimeError) as error:
        raise ModelUnavailable(
            f"The espeak-ng library is not installed ({error}): pip install espeakng-loader."
        ) from error


def _own_copy(library: str) -> str:
    """Return a path to a copy of the library that nobody else in this process loads.

    misaki loads the package's own file and never lets go of it. A second handle on that file
    would be the same library, which then could not be unloaded. The copy lives in memory and goes
    with the process; where the system has no such files, the package's own file must do.
    """
    if not hasattr(os, "memfd_create"):
        return library
    copy = os.memfd_create("espeak-ng")
    with open(copy, "wb", closefd=False) as target, open(library, "rb") as source:
        shutil.copyfileobj(source, target)
    return f"/proc/self/fd/{copy}"


def _load() -> Any:
    with contextlib.suppress(OSError):  # a system may refuse to run what lies in memory only
        return ctypes.CDLL(_location().ours)
    try:
        return ctypes.CDLL(_location().library)
    except OSError as error:
        raise ModelUnavailable(
            f"{_location().library} cannot be loaded ({error}): "
            "reinstall espeakng-loader for this platform."
        ) from error


def _initialize(library: Any) -> int:
    rate_hz = int(library.espeak_Initialize(_SYNCHRONOUS, 0, _location().data, _DONT_EXIT))
    if rate_hz <= 0:
        raise ModelUnavailable(
            "espeak-ng does not find its data: reinstall espeakng-loader for this platform."
        )
    return rate_hz


def _check(action: str, status: int) -> None:
    if status != 0:
        raise EngineFailed(f"espeak-ng failed to {action} (status {status}).")


def _stretch(
    library: Any, samples: NDArray[np.int16], speed: float, rate_hz: int
) -> NDArray[np.int16]:
    """Slow speech down by `speed` < 1, keeping its pitch, with the Sonic that espeak-ng carries.

    A build without Sonic's symbols leaves the speech at the slowest rate of espeak-ng itself.
    """
    if not hasattr(library, "sonicChangeShortSpeed"):
        return samples
    buffer = np.zeros(int(samples.size / speed) + rate_hz, dtype=np.int16)
    buffer[: samples.size] = samples
    one = ctypes.c_float(1.0)
    count = library.sonicChangeShortSpeed(
        buffer.ctypes.data_as(ctypes.c_void_p), samples.size, ctypes.c_float(speed),
        one, one, one, 0, rate_hz, 1,
    )  # fmt: skip
    return buffer[:count]
