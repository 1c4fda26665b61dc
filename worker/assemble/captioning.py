"""Captions written while a job's segments go by on their way into its files."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.errors import LostLease
from shared.ledger.records import SegmentRecord
from shared.spoken import SpokenSegment
from shared.timings import time_segment
from worker.assemble.captions import CaptionWriter
from worker.segment_audio import decode_segment


@dataclass
class Captioning:
    """Writes captions while the segments go by.

    Attributes:
        spoken: what each segment says, in their order.
        samples: that have gone by.
    """

    writer: CaptionWriter
    spoken: Iterator[SpokenSegment]
    samples: int = 0

    def take(self, record: SegmentRecord, data: bytes | None) -> None:
        """Write what the next segment says; `data` is its stored audio, None for a pause.

        Raises:
            LostLease: the job has ended, and its words are gone.
            DamagedSegment: the stored audio can't be read.
        """
        said = next(self.spoken, None)
        if said is None:
            raise LostLease("The job has ended, and its words are gone.")
        samples = record.samples or 0
        if data is not None:
            durations = decode_segment(data).durations
            self.writer.add(
                time_segment(
                    said,
                    index=record.index,
                    start_samples=self.samples,
                    samples=samples,
                    durations=None if durations is None else durations.tolist(),
                )
            )
        self.samples += samples
