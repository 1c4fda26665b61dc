"""How near our engine is to upstream's model on one checkpoint: durations and audio, item by item.

In: a checkpoint's folder. Out: one line of JSON. Run by `benchmarks.engine` in a process of its
own; `tests/unit/engines/test_network.py` holds the same on the tiny checkpoint to its bounds.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.upstream import (
    Rendering,
    Upstream,
    heard_harmonics,
    load_kmodel,
    load_network,
    log_mel_distance,
    relative_rms,
    render,
    snr_db,
)
from shared.voices import parse_voice
from worker.engines.kokoro import KokoroEngine
from worker.engines.runner import Prepared
from worker.engines.voicepacks import VoicePacks

SMALL = [(10, "af_heart", 2.0), (1, "bf_emma", 2.5)]
"""Tokens, voice and speed of a batch that is mostly padding: in float64 each second is dear."""
USUAL = [
    (12, "af_heart", 1.0),
    (20, "bf_emma", 1.7),
    (6, "jf_alpha", 0.6),
    (15, "zf_xiaobei", 1.0),
    (9, "am_adam", 1.2),
    (18, "ef_dora", 2.0),
]


def prepare(folder: Path, wanted: Sequence[tuple[int, str, float]], *, seed: int) -> list[Prepared]:
    """Return items of random tokens."""
    voices = VoicePacks(folder / "voices", "cpu")
    chance = torch.Generator().manual_seed(seed)
    items = []
    for length, voice, speed in wanted:
        ids = torch.randint(1, 170, (length,), generator=chance).tolist()
        style = voices.row(parse_voice(voice), length).squeeze(0)
        items.append(Prepared((0, *ids, 0), style, speed, seed + length))
    return items


def in_float64(folder: Path, items: Sequence[Prepared]) -> dict[str, Any]:
    """Compare a padded batch with upstream's batches of one."""
    upstream = Upstream(load_kmodel(folder), torch.float64)
    network = load_network(folder, torch.float64)
    torch.set_default_dtype(torch.float64)
    try:
        rows, durations, _ = render(network, items, extra=2)
        plain = [upstream(item) for item in items]
    finally:
        torch.set_default_dtype(torch.float32)
    frames = [int(one.durations.sum()) for one in plain]
    return {
        "frames": frames,
        "most_padding": 1 - min(frames) / (max(frames) + 2),
        "durations_equal": all(
            row[: len(one.durations)].equal(one.durations)
            for row, one in zip(durations, plain, strict=True)
        ),
        "most_relative_rms": max(
            relative_rms(row[: len(one.samples)], one.samples)
            for row, one in zip(rows, plain, strict=True)
        ),
    }


def run(
    engine: KokoroEngine, item: Prepared, harmonics: torch.Tensor | None = None
) -> tuple[torch.Tensor, list[int]]:
    """Render an item with the engine's own runner and kernels; return samples and durations."""
    runner: Any = engine._runner
    with heard_harmonics(runner._network, harmonics):
        (audio,) = runner.run([item])
    return torch.from_numpy(audio.samples), audio.durations.tolist()


def in_float32(
    folder: Path, items: Sequence[Prepared], precisions: Sequence[str]
) -> dict[str, Any]:
    """Compare the engine in each precision with upstream, and upstream with itself."""
    upstream = Upstream(load_kmodel(folder))
    threads = torch.get_num_threads()
    plain = [upstream(item) for item in items]
    torch.set_num_threads(2 if threads == 1 else 1)
    again = [upstream(item) for item in items]
    torch.set_num_threads(threads)
    found: dict[str, Any] = {"items": len(items)}
    found["upstream"] = _distances([a.samples for a in again], plain)
    for precision in precisions:
        engine = KokoroEngine.load(str(folder), device="cpu", precision=precision)
        own = [run(engine, item) for item in items]
        same = [run(engine, i, one.harmonics) for i, one in zip(items, plain, strict=True)]
        found[precision] = _distances([samples for samples, _ in own], plain) | {
            "durations_equal": all(
                durations == one.durations.tolist()
                for (_, durations), one in zip(own, plain, strict=True)
            ),
            "same_source": _distances([samples for samples, _ in same], plain),
        }
        del engine
    return found


def _distances(samples: Sequence[torch.Tensor], plain: Sequence[Rendering]) -> dict[str, float]:
    pairs = [(a, one.samples) for a, one in zip(samples, plain, strict=True)]
    return {
        "relative_rms": statistics.median(relative_rms(a, b) for a, b in pairs),
        "snr_db": statistics.median(snr_db(a, b) for a, b in pairs),
        "log_mel": statistics.median(log_mel_distance(a, b) for a, b in pairs),
    }


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--items", type=int, default=len(USUAL))
    parser.add_argument("--precisions", nargs="+", default=["exact", "fast"])
    options = parser.parse_args()
    answer, sys.stdout = sys.stdout, sys.stderr  # logs must not stand beside the answer
    found = {
        "float64": in_float64(options.model, prepare(options.model, SMALL, seed=options.seed)),
        "float32": in_float32(
            options.model,
            prepare(options.model, USUAL[: options.items], seed=options.seed),
            options.precisions,
        ),
    }
    print(json.dumps(found), file=answer)


if __name__ == "__main__":
    main()
