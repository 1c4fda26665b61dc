"""Where a job's chapters lie in its audio."""

from collections.abc import Iterable, Sequence

from shared.ledger.records import ChapterRecord


def place_chapters(
    chapters: Sequence[ChapterRecord], samples: Iterable[int]
) -> tuple[list[ChapterRecord], int]:
    """Return the chapters with their places in the audio, which are all of it, and its length.

    What is heard before the first is a chapter of its own, without a title.

    Args:
        chapters: as planned, in order.
        samples: of each segment, in order; read once.
    """
    wanted = {chapter.segment for chapter in chapters}
    starts: dict[int, int] = {}
    total = 0
    for index, length in enumerate(samples):
        if index in wanted:
            starts[index] = total
        total += length
    if chapters and starts.get(chapters[0].segment, total) > 0:
        chapters, starts[0] = [ChapterRecord("", 0), *chapters], 0
    # The last ones may have no segment: they are where the audio ends.
    edges = [starts.get(chapter.segment, total) for chapter in chapters] + [total]
    placed = [
        ChapterRecord(chapter.title, chapter.segment, edges[i], edges[i + 1])
        for i, chapter in enumerate(chapters)
    ]
    return placed, total
