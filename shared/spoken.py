"""Which part of a segment's phonemes says which word and which sentence of the input.

The planner writes it down for jobs that want timings; the assembler and the gateway read it. One
slice of a plan is one text in the ledger, base64 of zlib of JSON: some 0.9 bytes a character. What
a finished job says lies beside its captions, a line of JSON a slice, for when a part of it is said
anew.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

GAP_BEFORE, GAP_AFTER = 1, 2


class SpokenWord(NamedTuple):
    """A word that has a sound; every end is excluded.

    Attributes:
        start: index of its first character in the job's input, in code points.
        end: index after its last; with markup, after the mark.
        text_start: index of its first character in the sentence's text.
        text_end: index after its last.
        first: index of its first phoneme in the segment's.
        last: index after its last.
        gaps: `GAP_BEFORE` and `GAP_AFTER`, where a space is its neighbour among the phonemes.
    """

    start: int
    end: int
    text_start: int
    text_end: int
    first: int
    last: int
    gaps: int = 0


class SpokenSentence(NamedTuple):
    """A sentence, or the part of one that a segment holds.

    Attributes:
        start: index of its first character in the job's input.
        end: index after its last.
        text: as it is shown, markup resolved.
        first: index of its first phoneme in the segment's.
        last: index after its last.
        gaps: as a word's.
        words: ascending, without overlap.
    """

    start: int
    end: int
    text: str
    first: int
    last: int
    gaps: int
    words: tuple[SpokenWord, ...]


class SpokenSegment(NamedTuple):
    """What a segment says.

    Attributes:
        phonemes: how many it has; 0 for a pause.
        sentences: in order.
    """

    phonemes: int
    sentences: tuple[SpokenSentence, ...]


PAUSE = SpokenSegment(0, ())


class SpokenRow(NamedTuple):
    """What the segments of a planned slice say.

    Attributes:
        first: index of the first of them.
        row: what `decode` reads.
    """

    first: int
    row: str


FILE_NAME = "spoken.jsonl"
"""Of the file beside a job's captions."""


def file_key(beside: str) -> str:
    """Return where that file lies, by the key of any other file of the same job's whole."""
    return f"{beside.rpartition('/')[0]}/{FILE_NAME}"


def file_line(row: SpokenRow) -> str:
    """Return a slice as a line of that file."""
    return json.dumps({"v": 1, "first": row.first, "row": row.row}) + "\n"


def read_file(data: bytes) -> tuple[SpokenRow, ...]:
    """Return the slices in that file.

    Raises:
        ValueError: it is damaged.
    """
    try:
        lines = map(json.loads, data.splitlines())
        return tuple(SpokenRow(int(line["first"]), str(line["row"])) for line in lines)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a line of what is spoken: {error!r}") from error


def moved(segment: SpokenSegment, by: int) -> SpokenSegment:
    """Return what a segment says as it stands so many characters further in the input."""
    if by == 0:
        return segment
    return SpokenSegment(
        segment.phonemes,
        tuple(
            sentence._replace(
                start=sentence.start + by,
                end=sentence.end + by,
                words=tuple(
                    word._replace(start=word.start + by, end=word.end + by)
                    for word in sentence.words
                ),
            )
            for sentence in segment.sentences
        ),
    )


def gaps(phonemes: str, first: int, last: int) -> int:
    """Return on which sides of `phonemes[first:last]` a space stands."""
    before = GAP_BEFORE if phonemes[first - 1 : first] == " " else 0
    return before | (GAP_AFTER if phonemes[last : last + 1] == " " else 0)


def encode(segments: Iterable[SpokenSegment]) -> str:
    """Encode a slice for the ledger; ASCII."""
    rows = [
        [segment.phonemes, [[*sentence[:6], _deltas(sentence)] for sentence in segment.sentences]]
        for segment in segments
    ]
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"))).decode()


def decode(text: str | bytes) -> list[SpokenSegment]:
    """Decode what `encode` wrote."""
    rows = json.loads(zlib.decompress(base64.b64decode(text)).decode("utf-8", "surrogatepass"))
    return [
        SpokenSegment(phonemes, tuple(map(_sentence, sentences))) for phonemes, sentences in rows
    ]


def _sentence(row: Sequence[Any]) -> SpokenSentence:
    start, end, text, first, last, around, numbers = row
    words = tuple(_words(start, first, numbers))
    return SpokenSentence(start, end, text, first, last, around, words)


def _deltas(sentence: SpokenSentence) -> list[int]:
    """Return six small numbers a word, mostly the same ones: they compress well."""
    numbers: list[int] = []
    text, shift, phoneme = 0, sentence.start, sentence.first
    for word in sentence.words:
        # How far the input runs ahead of the text changes at markup and line ends only.
        ahead = word.start - word.text_start
        numbers += (
            (word.text_start - text) * 4 + word.gaps,
            word.text_end - word.text_start,
            ahead - shift,
            word.end - word.text_end - ahead,
            word.first - phoneme,
            word.last - word.first,
        )
        text, shift, phoneme = word.text_end, ahead, word.last
    return numbers


def _words(start: int, first: int, numbers: Sequence[int]) -> Iterator[SpokenWord]:
    text, ahead, phoneme = 0, start, first
    for at in range(0, len(numbers), 6):
        step, chars, more_ahead, longer, skipped, phonemes = numbers[at : at + 6]
        text_start = text + step // 4
        text = text_start + chars
        ahead += more_ahead
        phoneme += skipped + phonemes
        yield SpokenWord(
            text_start + ahead,
            text + ahead + longer,
            text_start,
            text,
            phoneme - phonemes,
            phoneme,
            step % 4,
        )
