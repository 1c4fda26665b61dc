"""The words document, `captions.json`: its rows, its head and its end."""

import json
from typing import Any

from shared.languages import Language
from shared.timings import TimedSentence

DECIMALS = 4
"""Of a second: Kokoro's half frames are 0.0125 s."""


def sentence_row(sentence: TimedSentence) -> dict[str, Any]:
    """Return a sentence as the document has it."""
    return {
        "text": sentence.text,
        "start_s": round(sentence.start_s, DECIMALS),
        "end_s": round(sentence.end_s, DECIMALS),
        "span": {"start": sentence.start, "end": sentence.end},
        "segment": sentence.segment,
    }


def word_rows(sentence: TimedSentence, index: int) -> list[dict[str, Any]]:
    """Return the words of the sentence of that index, as the document has them."""
    return [
        {
            "word": word.word,
            "start_s": round(word.start_s, DECIMALS),
            "end_s": round(word.end_s, DECIMALS),
            "span": {"start": word.start, "end": word.end},
            "segment": sentence.segment,
            "sentence": index,
        }
        for word in sentence.words
    ]


def head(
    language: Language, audio_s: float, *, exact: bool, complete: bool, after: str | None = None
) -> dict[str, Any]:
    """Return all of the document but its sentences and words.

    Args:
        language: of the text.
        audio_s: seconds of audio up to where the document goes.
        exact: whether the engine predicted all times.
        complete: whether it goes to the end of the job.
        after: where the next part begins.
    """
    return {
        "object": "captions",
        "language": language.value,
        "audio_s": round(audio_s, DECIMALS),
        "exact": exact,
        "complete": complete,
        "after": after,
    }


def to_json(value: object) -> str:
    """Write compactly, in letters of every script."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
