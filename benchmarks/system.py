"""The whole system beside its engine alone: how much of the device's speed reaches the client.

In: an engine, a number of texts. Out: audio-seconds a second of both, the worker's busy share, and
how many cores of planners and encoders one device needs.

The texts go through gateway, Redis, Celery and storage. The synth worker is halted until everything
is planned, so that what is measured is a worker before a backlog: from its release to its last
segment's record. The engine alone renders the same segments, in batches bounded alike, in a process
of its own, before and after. On a machine without a GPU planners and encoders take their time from
the same cores as the engine; `--engine scripted:sleep_per_audio_s=0.01` sleeps in place of a device
of 100 audio-seconds a second and leaves the cores to the system.
"""

import argparse
import json
import signal
import statistics
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus import MIX, Length, Text, describe, mixed
from benchmarks.latency import log_lines
from benchmarks.report import Cell, Report, Table, Target, options
from benchmarks.rig import (
    cluster,
    free_port,
    run_module,
    settings_for,
    signal_all,
    wait_until_planned,
    workplace,
)
from shared.errors import LanguageUnavailable
from shared.formats import SAMPLE_RATE_HZ, AudioFormat
from shared.languages import Language
from shared.manifest import EngineName
from shared.settings import Settings
from worker.assemble.assembler import assemble
from worker.engines.base import SegmentAudio
from worker.engines.scripted import PHONEME_S
from worker.plan.planner import Planner
from worker.plan.segment import PlannedSegment, SegmentKind
from worker.segment_audio import encode_segment

TEXTS, QUICK_TEXTS = 16, 6
ROUNDS, QUICK_ROUNDS = 2, 1
GIVE_UP_AFTER_S = 1200.0
LEAST_SHARE = 0.9
SMALL_MIX = {Length.SHORT: 0.7, Length.MEDIUM: 0.3}
"""For so few texts that a chapter would be most of it all."""
CHAPTERS_FROM_TEXTS = 100
FORMATS = (
    AudioFormat.WAV,
    AudioFormat.FLAC,
    AudioFormat.MP3,
    AudioFormat.OPUS,
    AudioFormat.AAC,
)
DEVICE_SPEEDS = (1000.0, 3000.0)
SPEECH_S, QUICK_SPEECH_S = 120, 20


@dataclass(frozen=True)
class Plan:
    """A selection, planned as the plan worker plans it.

    Attributes:
        segments: of each text, in the order of the texts.
        cpu_s: seconds of one core it took, dictionaries loaded before.
    """

    texts: list[Text]
    segments: list[list[PlannedSegment]]
    cpu_s: float

    @property
    def chars(self) -> int:
        """Characters planned."""
        return sum(len(text.text) for text in self.texts)

    def inputs(self) -> list[dict[str, Any]]:
        """Return each different segment once, as the cluster renders each once."""
        found = {}
        for text, segments in zip(self.texts, self.segments, strict=True):
            for seed, segment in enumerate(segments):
                if segment.kind is SegmentKind.SPEECH:
                    found[segment.phonemes, text.voice] = {
                        "phonemes": segment.phonemes,
                        "text": segment.text,
                        "language": text.language,
                        "voice": text.voice,
                        "speed": 1.0,
                        "seed": seed,
                    }
        return list(found.values())


def choose(count: int, seed: int) -> tuple[list[Text], Planner]:
    """Return texts in the languages that are installed here, and a planner that knows them."""
    planner = Planner()
    languages = []
    for language in Language:
        try:
            planner.g2p(language).pronounce("1", ())
        except LanguageUnavailable:
            continue
        languages.append(language)
    shares = MIX if count >= CHAPTERS_FROM_TEXTS else SMALL_MIX
    return mixed(count, seed=seed, languages=languages, shares=shares), planner


def spoken_by(texts: list[Text], settings: Settings) -> list[Text]:
    """Return the texts, those of a voice that the model lacks in one that it has."""
    known = sorted(path.stem for path in Path(settings.model).glob("voices/*.pt"))
    if not known:  # the scripted engine knows every voice
        return texts
    return [
        text
        if text.voice in known
        else replace(text, source=replace(text.source, voice=known[n % len(known)]))
        for n, text in enumerate(texts)
    ]


def plan(texts: list[Text], planner: Planner) -> Plan:
    """Plan every text, and time it."""
    for text in texts:  # whatever is loaded at first use is loaded now
        planner.plan_slice(text.text[:200], language=text.language, offset=0, final=True)
    began = time.process_time()
    segments = [
        list(planner.plan_slice(t.text, language=t.language, offset=0, final=True).segments)
        for t in texts
    ]
    return Plan(texts, segments, time.process_time() - began)


def speech(seconds: int) -> SegmentAudio:
    """Return a sound with the shape of speech: syllables of a harmonic voice, breath between.

    Encoders take about as long for it as for speech, and far longer than for a tone or silence.
    """
    chance = np.random.default_rng(0)
    times_s = np.arange(seconds * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    pitch_hz = 140 + 30 * np.sin(2 * np.pi * 0.7 * times_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    voiced = sum(np.sin(k * phase) / k for k in range(1, 25))
    breath = chance.normal(0, 0.3, times_s.size)
    syllables = np.clip(np.sin(2 * np.pi * 4 * times_s) + 0.4, 0, 1)
    samples = 0.15 * (voiced * syllables + breath * (0.1 + 0.5 * (1 - syllables)))
    return SegmentAudio(samples=np.clip(samples, -1, 1).astype(np.float32), durations=None)


def encode_rates(folder: Path, seconds: int) -> dict[str, float]:
    """Return the audio-seconds a second that one core encodes, format by format."""
    audio = speech(seconds)
    parts = [
        encode_segment(SegmentAudio(samples=part, durations=None))
        for part in np.array_split(audio.samples, max(1, seconds // 20))
    ]
    found = {}
    for audio_format in FORMATS:
        began = time.process_time()
        assemble(parts, [audio_format], folder / "encoded", total_samples=audio.samples.size)
        found[audio_format.value] = seconds / (time.process_time() - began)
    return found


def engine_alone(segments: Path, settings: Settings) -> dict[str, Any]:
    """Render the segments by the engine alone, in a process of its own."""
    output = run_module(
        "benchmarks.engine_alone",
        *("--segments", str(segments), "--engine", settings.engine.value),
        *("--model", settings.model, "--device", settings.device),
        *("--batch-max", str(settings.batch_max)),
        within_s=GIVE_UP_AFTER_S,
    )
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def through_the_system(
    settings: Settings, planned: Plan, audio_format: AudioFormat
) -> dict[str, Any]:
    """Speak the texts through a whole cluster; return what its log and its workers say."""
    with cluster(settings) as running:
        known = {(text.voice, text.language) for text in planned.texts}
        for voice, language in sorted(known):  # loads each
            job = running.submit(
                {"input": "1.", "voice": voice, "language": language},
                headers={"Prefer": "wait=60"},
            )
            if job["status"] != "succeeded":
                raise RuntimeError(f"warming up: {job}")
        warm = len(known)
        notes_before = running.workers("synth")[0]
        halted = running.pids("synth.0")
        signal_all(halted, signal.SIGSTOP)
        try:
            for text in planned.texts:
                running.submit(
                    {
                        "input": text.text,
                        "voice": text.voice,
                        "language": text.language,
                        "response_format": audio_format.value,
                        "priority": "batch",
                    }
                )
            wait_until_planned(running.ledger, warm + len(planned.texts), within_s=GIVE_UP_AFTER_S)
            released = time.time()
        finally:
            signal_all(halted, signal.SIGCONT)
        running.wait_until(warm + len(planned.texts), within_s=GIVE_UP_AFTER_S)
        ended = time.time()
        time.sleep(2.5)  # the worker tells of itself once a second
        notes = running.workers("synth")[0]
        rendered = [
            (datetime.fromisoformat(entry["ts"]).timestamp(), float(entry["audio_s"]))
            for entry in log_lines(running.local.logs)
            if entry.get("event") == "rendered"
        ]
    mine = [(at, audio_s) for at, audio_s in rendered if at >= released]
    took_s = max(at for at, _ in mine) - released
    return {
        "audio_s": sum(audio_s for _, audio_s in mine),
        "took_s": took_s,
        "to_the_last_file_s": ended - released,
        "segments": len(mine),
        "busy_share": _busy_share(notes_before, notes),
    }


def _busy_share(before: dict[str, Any], after: dict[str, Any]) -> float | None:
    """Return the share of its shifts in which the device worked, if the worker tells it."""
    try:
        shift_s = after["shift_s"] - before.get("shift_s", 0.0)
        return float((after["busy_s"] - before.get("busy_s", 0.0)) / shift_s)
    except (KeyError, ZeroDivisionError):
        return None


def settings_of(chosen: argparse.Namespace, folder: Path) -> Settings:
    """Return the cluster's settings for the engine asked for, writing a checkpoint if need be."""
    if chosen.engine.startswith("scripted"):
        return settings_for(folder, model=chosen.engine, device="cpu")
    model = chosen.model
    if model is None:
        model = str(folder / "checkpoint")
        size = "tiny" if chosen.quick else "full"
        run_module("deploy.cli", "checkpoint", model, "--size", size, within_s=300)
    return settings_for(
        folder,
        engine=EngineName.KOKORO,
        model=model,
        device=chosen.device,
        synth_workers=1,
        model_load_timeout_s=120,
    )


def report_on(
    chosen: argparse.Namespace,
    planned: Plan,
    alone: list[dict[str, Any]],
    wholes: list[dict[str, Any]],
    encoding: dict[str, float],
) -> Report:
    """Put the figures together."""
    alone_rate = statistics.fmean(run["audio_s"] / run["took_s"] for run in alone)
    whole = wholes[0]
    whole_rate = statistics.fmean(run["audio_s"] / run["took_s"] for run in wholes)
    chars_per_core_s = planned.chars / planned.cpu_s
    chars_per_audio_s = planned.chars / whole["audio_s"]
    report = Report(
        "system",
        "the whole system beside its engine alone",
        corpus=describe(planned.texts),
        precision=f"exact, float32; model: {alone[0]['model']}"
        if chosen.engine == "kokoro"
        else f"no model: {chosen.engine}",
        quick=chosen.quick,
        figures={
            "engine_alone": alone,
            "system": wholes,
            "engine_alone_audio_s_per_s": alone_rate,
            "system_audio_s_per_s": whole_rate,
            "share": whole_rate / alone_rate,
            "plan_chars_per_core_s": chars_per_core_s,
            "chars_per_audio_s": chars_per_audio_s,
            "encode_audio_s_per_core_s": encoding,
        },
        notes=[
            f"{whole['segments']} segments, {whole['audio_s']:.0f} s of audio; batches of at most "
            f"{alone[0]['batch_most']}; files in {chosen.format}",
            "the engine alone was run before and after each run of the system; the means count",
        ],
    )
    rows: list[list[Cell]] = [
        [f"engine alone, run {n}", run["audio_s"] / run["took_s"], run["took_s"]]
        for n, run in enumerate(alone, 1)
    ]
    rows += [
        [f"whole system, run {n}, to the last {what}", run["audio_s"] / run[key], run[key]]
        for n, run in enumerate(wholes, 1)
        for what, key in (("segment", "took_s"), ("file", "to_the_last_file_s"))
    ]
    report.tables.append(Table("Speed", ["", "audio-seconds a second", "seconds"], rows))
    share = whole["busy_share"]
    report.tables.append(
        Table(
            "The synth worker",
            ["", ""],
            [["share of its shifts its engine worked", "not reported" if share is None else share]],
        )
    )
    speeds = (whole_rate, *DEVICE_SPEEDS)
    needs: list[list[Cell]] = [
        [
            f"plan: {chars_per_core_s:,.0f} characters a second a core",
            *(speed * chars_per_audio_s / chars_per_core_s for speed in speeds),
        ]
    ]
    needs += [
        [f"encode {name}: {rate:,.0f} audio-seconds a second a core", *(s / rate for s in speeds)]
        for name, rate in encoding.items()
    ]
    report.tables.append(
        Table(
            "Cores that one device keeps busy",
            ["", *(f"at {speed:,.0f} audio-s/s" for speed in speeds)],
            needs,
        )
    )
    report.targets.append(
        Target("system beside engine alone", whole_rate / alone_rate, least=LEAST_SHARE)
    )
    return report


def main() -> None:
    """Measure, and print."""
    parser = options(__doc__)
    parser.add_argument("--engine", default="kokoro", help="kokoro, or scripted:name=seconds,…")
    parser.add_argument("--model", help="weights; default: a synthetic checkpoint of full size")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--texts", type=int, help=f"how many; default {TEXTS}")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of texts")
    parser.add_argument("--format", default="mp3", choices=[f.value for f in AudioFormat])
    chosen = parser.parse_args()
    if chosen.model is not None and Path(chosen.model).exists():
        chosen.model = str(Path(chosen.model).absolute())
    count = chosen.texts or (QUICK_TEXTS if chosen.quick else TEXTS)
    with workplace() as folder:
        settings = settings_of(chosen, folder)
        texts, planner = choose(count, chosen.seed)
        planned = plan(spoken_by(texts, settings), planner)
        segments = folder / "segments.json"
        segments.write_text(json.dumps(planned.inputs()), encoding="utf-8")
        encoding = encode_rates(folder, QUICK_SPEECH_S if chosen.quick else SPEECH_S)
        print(f"{describe(texts)}; about {_expected_audio_s(planned):.0f} s of audio", flush=True)
        alone = [engine_alone(segments, settings)]
        wholes = []
        for n in range(QUICK_ROUNDS if chosen.quick else ROUNDS):
            fresh = {
                "data_dir": folder / f"run-{n}",
                "port": free_port(),
                "redis_port": free_port(),
            }
            wholes.append(
                through_the_system(
                    settings.model_copy(update=fresh), planned, AudioFormat(chosen.format)
                )
            )
            alone.append(engine_alone(segments, settings))
    report_on(chosen, planned, alone, wholes, encoding).publish(chosen.json)


def _expected_audio_s(planned: Plan) -> float:
    return sum(len(fields["phonemes"]) for fields in planned.inputs()) * PHONEME_S


if __name__ == "__main__":
    main()
