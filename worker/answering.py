"""What a plan worker answers to a gateway's questions (`shared.ledger.asks`).

In: a text, or some stretches of one. Out: how it is said, or what planning it comes to; in JSON.
"""

from collections.abc import Callable, Sequence
from typing import Any

from shared.languages import Language
from shared.ledger.asks import Ask, AskKind
from worker.engines.facts import model_config
from worker.plan.normalize import Normalizer
from worker.plan.planner import Planner
from worker.plan.segment import PlannedSlice, SegmentKind

OOV_MOST = 200
"""Words outside the dictionary that one answer names."""

WARNINGS_MOST = 100


def answer(planner: Planner, ask: Ask) -> dict[str, Any]:
    """Answer a question.

    Raises:
        InvalidMarkup, LanguageUnavailable: there is no answer but this.
    """
    return _ANSWERERS[ask.kind](planner, ask.body)


def _phonemize(planner: Planner, body: dict[str, Any]) -> dict[str, Any]:
    """Say how `text` is said.

    Returns:
        `phonemes` of the whole, `tokens` (the model's numbers for them, without its end marks),
        `segments` `[{text, phonemes}]` as they would be rendered, `oov`, `warnings`.
    """
    planned = _plan(planner, [body["text"]], Language(body["language"]))
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


def _estimate(planner: Planner, body: dict[str, Any]) -> dict[str, Any]:
    """Say what planning `texts` comes to.

    Returns:
        `segments`, `phonemes` (their sum), `pause_s`, `oov`, `warnings`, and `degraded`: why the
        language is not said as well as it could be, or null.
    """
    language = Language(body["language"])
    planned = _plan(planner, body["texts"], language)
    segments = [segment for one in planned for segment in one.segments]
    return {
        "segments": len(segments),
        "phonemes": sum(len(segment.phonemes) for segment in segments),
        "pause_s": round(sum(segment.pause_s for segment in segments), 3),
        "oov": _oov(planned),
        "warnings": _warnings(planned),
        "degraded": planner.degraded(language),
    }


_ANSWERERS: dict[AskKind, Callable[[Planner, dict[str, Any]], dict[str, Any]]] = {
    AskKind.PHONEMIZE: _phonemize,
    AskKind.ESTIMATE: _estimate,
}


def _plan(planner: Planner, texts: Sequence[str], language: Language) -> list[PlannedSlice]:
    # As a job is spoken that does not say otherwise.
    return [
        planner.plan_slice(
            text,
            language=language,
            offset=0,
            final=True,
            rewrites=lambda spoken: [Normalizer(spoken)],
        )
        for text in texts
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
