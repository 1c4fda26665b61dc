"""What a plan worker answers to a gateway's questions (`shared.ledger.asks`).

In: a text, or some stretches of one. Out: how it is said, or what planning it comes to; in JSON.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from shared.languages import Language
from shared.ledger.asks import Ask, AskKind
from worker.engines.facts import model_config
from worker.plan.planner import Planner
from worker.plan.rewriting import Rewrite
from worker.plan.segment import PlannedSlice, SegmentKind

OOV_MOST = 200
"""Words outside the dictionary that one answer names."""

WARNINGS_MOST = 100


RewritesOf: TypeAlias = Callable[[Sequence[str], bool, Language], Sequence[Rewrite]]
"""Digests of lexicons, whether to normalize and a language → passes over a text."""


def answer(planner: Planner, ask: Ask, rewrites_of: RewritesOf) -> dict[str, Any]:
    """Answer a question.

    Args:
        planner: that plans jobs.
        ask: the question.
        rewrites_of: gives what is passed over a job's text.

    Raises:
        InvalidMarkup, LanguageUnavailable, UnknownLexicon: there is no answer but this.
    """
    return _ANSWERERS[ask.kind](planner, ask.body, rewrites_of)


def _phonemize(planner: Planner, body: dict[str, Any], rewrites_of: RewritesOf) -> dict[str, Any]:
    """Say how `text` is said.

    Returns:
        `phonemes` of the whole, `tokens` (the model's numbers for them, without its end marks),
        `segments` `[{text, phonemes}]` as they would be rendered, `oov`, `warnings`.
    """
    # As a job is spoken that does not say otherwise.
    planned = _plan(planner, {"texts": [body["text"]], "language": body["language"]}, rewrites_of)
    spoken = [s for s in planned[0].segments if s.kind is SegmentKind.SPEECH]
    phonemes = " ".join(segment.phonemes for segment in spoken)
    vocab: dict[str, int] = model_config()["vocab"]
    return {
        "phonemes": phonemes,
        "tokens": [vocab[symbol] for symbol in phonemes],
        "segments": [{"text": s.text, "phonemes": s.phonemes} for s in spoken],
        "oov": _oov(planned),
        "warnings": _warnings(planned),
    }


def _estimate(planner: Planner, body: dict[str, Any], rewrites_of: RewritesOf) -> dict[str, Any]:
    """Say what planning `texts` comes to; see `AskKind.ESTIMATE`.

    Returns:
        `segments`, and `pauses` among them; `phonemes` (their sum), `spoken` (the same by the voice
        that a mark named, "" for the job's own), `pause_s`, `oov`, `warnings`, `degraded`: why the
        language is not said as well as it could be, or null; `degraded_others`: the same of others.
    """
    language = Language(body["language"])
    planned = _plan(planner, body, rewrites_of)
    segments = [segment for one in planned for segment in one.segments]
    spoken: Counter[str] = Counter()
    for segment in segments:
        if segment.kind is SegmentKind.SPEECH:
            spoken[segment.voice] += len(segment.phonemes)
    others = {s.language for s in segments if s.language is not None} - {language}
    return {
        "segments": len(segments),
        "pauses": sum(segment.kind is SegmentKind.PAUSE for segment in segments),
        "phonemes": spoken.total(),
        "spoken": spoken,
        "pause_s": round(sum(segment.pause_s for segment in segments), 3),
        "oov": _oov(planned),
        "warnings": _warnings(planned),
        "degraded": planner.degraded(language),
        "degraded_others": [
            why for other in sorted(others) if (why := planner.degraded(other)) is not None
        ],
    }


_ANSWERERS: dict[AskKind, Callable[[Planner, dict[str, Any], RewritesOf], dict[str, Any]]] = {
    AskKind.PHONEMIZE: _phonemize,
    AskKind.ESTIMATE: _estimate,
}


def _plan(planner: Planner, body: dict[str, Any], rewrites_of: RewritesOf) -> list[PlannedSlice]:
    texts = body["texts"]
    voices = body.get("voices") or [""] * len(texts)
    lexicons, normalize = tuple(body.get("lexicons", ())), body.get("normalize", True)
    return [
        planner.plan_slice(
            text,
            language=Language(body["language"]),
            offset=0,
            final=True,
            rewrites=lambda spoken: rewrites_of(lexicons, normalize, spoken),
            voice=voice,
            follow_voice=body.get("follow_voice", False),
            chapter_pause_s=body.get("chapter_pause_s", 0.0),
        )
        for text, voice in zip(texts, voices, strict=True)
    ]


def _oov(planned: Sequence[PlannedSlice]) -> list[dict[str, str | None]]:
    """Return each word that is in no dictionary once, in order; None: it has no sound."""
    found: dict[str, str | None] = {}
    for one in planned:
        for word, phonemes in one.guessed:
            found.setdefault(word, phonemes)
        for warning in (*one.warnings, *(w for s in one.segments for w in s.warnings)):
            if warning.code == "oov_word":
                found[warning.detail] = None
    return [{"word": word, "phonemes": said} for word, said in found.items()][:OOV_MOST]


def _warnings(planned: Sequence[PlannedSlice]) -> list[dict[str, str]]:
    found = [
        {"code": warning.code, "detail": warning.detail}
        for one in planned
        for warning in (*(w for s in one.segments for w in s.warnings), *one.warnings)
        if warning.code != "oov_word"
    ]
    return found[:WARNINGS_MOST]
