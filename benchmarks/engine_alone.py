"""How fast an engine renders planned segments when nothing else is asked of it.

In: a file of segments, an engine and its model. Out: one line of JSON. Run by `benchmarks.system`
in a process of its own, so that it has the threads and the device that a worker's child has.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.formats import SAMPLE_RATE_HZ
from shared.languages import Language
from shared.ledger.work import ALIKE_RATIO
from shared.manifest import EngineName
from shared.voices import parse_voice
from worker.engines.base import SegmentInput
from worker.engines.loading import load_engine


def batches(
    segments: Sequence[SegmentInput], *, most: int, phonemes: int
) -> Iterator[list[SegmentInput]]:
    """Yield batches as the ledger bounds them: so many members, padded phonemes, alike lengths."""
    batch: list[SegmentInput] = []
    for segment in sorted(segments, key=lambda one: len(one.phonemes), reverse=True):
        longest = len(batch[0].phonemes) if batch else 0
        full = len(batch) >= most or (len(batch) + 1) * longest > phonemes
        if batch and (full or longest > ALIKE_RATIO * len(segment.phonemes)):
            yield batch
            batch = []
        batch.append(segment)
    if batch:
        yield batch


def main() -> None:
    """Load, warm up, render everything once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=Path, required=True)
    parser.add_argument("--engine", type=EngineName, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch-max", type=int, required=True)
    options = parser.parse_args()
    segments = [
        SegmentInput(
            **{
                **fields,
                "voice": parse_voice(fields["voice"]),
                "language": Language(fields["language"]),
            }
        )
        for fields in json.loads(options.segments.read_text(encoding="utf-8"))
    ]
    engine = load_engine(
        engine=options.engine, model=options.model, device=options.device, precision="exact"
    )
    most = min(options.batch_max, engine.batch_most)
    planned = list(batches(segments, most=most, phonemes=engine.batch_phonemes))
    engine.forward(planned[len(planned) // 2])
    began = time.perf_counter()
    samples = sum(audio.samples.size for batch in planned for audio in engine.forward(batch))
    took_s = time.perf_counter() - began
    found = {
        "audio_s": samples / SAMPLE_RATE_HZ,
        "took_s": took_s,
        "segments": len(segments),
        "batches": len(planned),
        "batch_most": most,
        "model": engine.manifest.model,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
