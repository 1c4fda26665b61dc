"""M4B: AAC in MP4 with chapter marks, a title and an author; what players take for an audiobook.

The index (`moov`) stands in front, so that a player can begin and seek before it has all of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from shared.formats import SAMPLE_RATE_HZ
from worker.assemble.encoders import AAC_BIT_RATE, AAC_OPTIONS, LossyEncoder

MAX_TITLE_BYTES = 255
"""Of one chapter's title in Nero's list of chapters, which half of all players read."""


@dataclass(frozen=True)
class ChapterMark:
    """Where a chapter lies in a file.

    Attributes:
        title: any Unicode; empty for what has none.
        start: index of its first sample at 24 000 Hz.
        end: index after its last one; above `start`.
    """

    title: str
    start: int
    end: int


@dataclass(frozen=True)
class Tags:
    """What a file says of itself, where its format can.

    Attributes:
        title: of what is in it; empty for none.
        author: of the work; empty for none.
        album: title of the work it is a part of; empty for what is no part.
        chapters: in order, without gaps.
    """

    title: str = ""
    author: str = ""
    album: str = ""
    chapters: Sequence[ChapterMark] = ()


class M4bEncoder(LossyEncoder):
    """AAC in MP4 with the brand `M4B `.

    Args:
        path: of the file.
        tags: its title, author and chapters; with none of them it is a plain MP4 of sound.
    """

    def __init__(self, path: Path, tags: Tags) -> None:
        super().__init__(
            path,
            "ipod",
            "aac",
            AAC_BIT_RATE,
            AAC_OPTIONS,
            container_options={"movflags": "+faststart", "brand": "M4B "},
        )
        self._file.metadata.update(_metadata(tags))
        self._file.set_chapters(
            [
                {
                    "id": number,
                    "start": mark.start,
                    "end": mark.end,
                    "time_base": Fraction(1, SAMPLE_RATE_HZ),
                    "metadata": {"title": short_title(mark.title)},
                }
                for number, mark in enumerate(tags.chapters)
            ]
        )


def _metadata(tags: Tags) -> Iterator[tuple[str, str]]:
    yield "media_type", "2"  # an audiobook, to iTunes and its heirs
    yield "genre", "Audiobook"
    if tags.title:
        yield "title", tags.title
    if tags.album or tags.title:
        yield "album", tags.album or tags.title
    if tags.author:
        yield "artist", tags.author
        yield "album_artist", tags.author


def short_title(title: str) -> str:
    """Return as much of a title as fits into 255 bytes of UTF-8, no character cut in two."""
    return title.encode()[:MAX_TITLE_BYTES].decode(errors="ignore")
