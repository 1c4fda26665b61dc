"""A window of a job's text in, segments out.

    window → stretches of one voice and chapter → paragraphs → markup resolved → sentences
           → phonemes → segments

A paragraph is packed by itself, so an edit changes the segments of its own paragraph only.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from shared.alphabet import is_audible, keep_known
from shared.languages import Language, language_of_voice
from shared.markup import LONGEST_MARK_CHARS, Mark, cut_mark
from shared.voices import parse_voice
from worker.plan.g2p import G2P, make_g2p
from worker.plan.markup import Silence, SpokenText, resolve
from worker.plan.packing import MAX_PHONEMES, Packer, Sentence
from worker.plan.paragraphs import Paragraph, paragraphs
from worker.plan.rewriting import Rewrite
from worker.plan.segment import (
    PlannedChapter,
    PlannedSegment,
    PlannedSlice,
    PlanWarning,
    SegmentKind,
)
from worker.plan.sentences import cut_point, opening_clause, sentences
from worker.plan.stretches import stretches
from worker.plan.words import composed, placed_words

MIN_WINDOW_CHARS = 8192
"""A window this long always gets on, whatever is in it; a shorter one may have to be given more."""

_IN_SIGHT_CHARS = LONGEST_MARK_CHARS + 100
"""What must follow a sentence before its end is sure: a mark begun in it, closing quotes."""


Rewrites: TypeAlias = Callable[[Language], Sequence[Rewrite]]


def no_rewrites(language: Language) -> Sequence[Rewrite]:
    """Leave the text of any language as it is."""
    return ()


@dataclass
class _Findings:
    """What planning one window has come to so far.

    Attributes:
        rewrites: passes over the spoken text of a language, in order.
        quick_start: whether the first segment should be a short one.
    """

    rewrites: Rewrites
    quick_start: bool = False
    segments: list[PlannedSegment] = field(default_factory=list)
    warnings: list[PlanWarning] = field(default_factory=list)
    guessed: dict[str, str] = field(default_factory=dict)

    def packer(self, language: Language) -> Packer:
        """Return a packer for the next paragraph, which is in this language."""
        spoken = any(segment.kind is SegmentKind.SPEECH for segment in self.segments)
        return Packer(_joiner(language), quick=self.quick_start and not spoken)


class Planner:
    """Plans text in any language, one thread at a time; each language's G2P loads at first use."""

    def __init__(self) -> None:
        self._g2ps: dict[Language, G2P] = {}

    def g2p(self, language: Language) -> G2P:
        """Return the G2P of `language`, loading it if need be: up to some seconds, once.

        Raises:
            LanguageUnavailable: a package or dictionary is missing on this machine.
        """
        if language not in self._g2ps:
            self._g2ps[language] = make_g2p(language)
        return self._g2ps[language]

    def degraded(self, language: Language) -> str | None:
        """Return why `language` is not pronounced as well as it could be, for `g2p_degraded`."""
        return self.g2p(language).degraded

    def plan_slice(
        self,
        text: str,
        *,
        language: Language,
        offset: int,
        final: bool,
        rewrites: Rewrites = no_rewrites,
        voice: str = "",
        follow_voice: bool = False,
        chapter_pause_s: float = 0.0,
        quick_start: bool = False,
    ) -> PlannedSlice:
        """Plan a window of a job's input.

        Segments don't depend on where windows end: what the window may hold only a part of is
        left for the next, which begins at `offset + consumed`, in the slice's `voice`.

        Args:
            text: the window: everything from `offset` on, up to any length. At least
                `MIN_WINDOW_CHARS` unless it is final; from a shorter one nothing may be consumed.
            language: of the text.
            offset: index of the window's first character in the job's input.
            final: True when the input ends with the window; all of it is then consumed.
            rewrites: passes over the spoken text of a language, in order: normalisation, lexicons.
            voice: that a mark before the window named; empty if none did.
            follow_voice: whether what a mark gives a voice to is in that voice's own language.
            chapter_pause_s: seconds of silence that each chapter begins with.
            quick_start: whether the window's first segment should be a short one, as it is waited
                for: up to a clause's end, where there is one in time.

        Raises:
            InvalidMarkup: a malformed mark, which `shared.markup.check_input` finds beforehand.
            LanguageUnavailable: see `g2p`.
        """
        found = _Findings(rewrites, quick_start=quick_start)
        chapters: list[PlannedChapter] = []
        get_on = len(text) >= MIN_WINDOW_CHARS
        window = text if final else text[: cut_mark(text)]
        consumed = 0
        for stretch in stretches(window, final=final):
            part, mark = window[stretch.start : stretch.end], stretch.mark
            speaker = mark.voice if mark and mark.voice else voice
            first = len(found.segments)
            used = self._plan_stretch(
                part,
                _language(language, speaker, follow_voice),
                offset + stretch.start,
                found,
                # What a mark begins is known to begin there, wherever windows do.
                at_line_start=mark is not None
                or offset + stretch.start == 0
                or part[:1] in ("\n", "\r"),
                closed=stretch.closed,
                opening=mark is None or mark.start == 0,
                get_on=get_on,
            )
            if mark is not None and used == 0 and not stretch.closed:
                consumed = mark.start  # The next window begins with this mark.
                break
            voice, consumed = speaker, stretch.start + used
            if voice:
                spoken = _language(language, voice, follow_voice)
                found.segments[first:] = [
                    replace(s, voice=voice, language=spoken if spoken is not language else None)
                    if s.kind is SegmentKind.SPEECH
                    else s
                    for s in found.segments[first:]
                ]
            if mark is not None and mark.chapter:
                chapters.append(PlannedChapter(mark.chapter, first))
                if chapter_pause_s > 0:
                    found.segments.insert(first, _chapter_pause(mark, offset, chapter_pause_s))
        return PlannedSlice(
            tuple(found.segments),
            consumed,
            tuple(found.warnings),
            tuple(found.guessed.items()),
            tuple(chapters),
            voice,
        )

    def _plan_stretch(
        self,
        text: str,
        language: Language,
        offset: int,
        found: _Findings,
        *,
        at_line_start: bool,
        closed: bool,
        opening: bool,
        get_on: bool,
    ) -> int:
        """Plan what is sure of a text in one voice; return how many of its characters that is.

        Args:
            text: the stretch.
            language: of it.
            offset: index of its first character in the job's input.
            found: gets its segments and warnings.
            at_line_start: False when it begins in the middle of a line.
            closed: True when nothing follows it in this voice; all of it is then planned.
            opening: whether the window begins with it. If not, what may go on is left to the next.
            get_on: whether something has to come of it, if it is `opening`.
        """
        consumed = 0
        for paragraph in paragraphs(text, at_line_start=at_line_start, final=closed):
            if paragraph.closed:
                self._plan(text, paragraph, language, offset, found)
                consumed = paragraph.end
            elif consumed == 0 and opening:
                consumed = self._plan_open(text, paragraph, language, offset, found, get_on=get_on)
        if closed:
            return len(text)
        if not text.strip():
            return max(text.rfind("\n"), 0) or len(text)
        return consumed

    def _plan(
        self, text: str, paragraph: Paragraph, language: Language, offset: int, found: _Findings
    ) -> None:
        """Plan a whole paragraph."""
        packer = found.packer(language)
        for piece in _pieces(text, paragraph, language, offset, found.rewrites(language)):
            for part in _opened(piece, packer):
                for item in self._pronounce(part, language, found):
                    found.segments.extend(packer.add(item))
        found.segments.extend(packer.close())

    def _plan_open(
        self,
        text: str,
        paragraph: Paragraph,
        language: Language,
        offset: int,
        found: _Findings,
        *,
        get_on: bool,
    ) -> int:
        """Plan what is sure of a paragraph that goes on beyond the window.

        Returns:
            How many characters of the window that accounts for.
        """
        packer = found.packer(language)
        sure_end = offset + len(text) - _IN_SIGHT_CHARS
        consumed_to = offset
        for piece in _pieces(text, paragraph, language, offset, found.rewrites(language)):
            last = piece.end if isinstance(piece, Silence) else max(piece.ends, default=0)
            if last > sure_end:
                break
            for part in _opened(piece, packer):
                for item in self._pronounce(part, language, found):
                    found.segments.extend(packer.add(item))
            consumed_to = max(consumed_to, last)
        if packer.held_start is not None:
            consumed_to = packer.held_start  # The next sentence may still belong to it.
        if consumed_to > offset + paragraph.start:
            return consumed_to - offset
        # A line end is left in front, by which the next window knows that it begins a line.
        blank = text.rfind("\n", 0, paragraph.start)
        if blank > 0:
            return blank
        if get_on:
            # One endless sentence fills the window: get on all the same.
            self._plan(text, paragraph, language, offset, found)
            return len(text)
        return 0

    def _pronounce(
        self, piece: SpokenText | Silence, language: Language, found: _Findings
    ) -> Iterator[Sentence | Silence]:
        """Yield a sentence with its phonemes, in parts if it has more than a segment may hold.

        A sentence without any sound is not yielded; if it has words, `found` is told.
        """
        if isinstance(piece, Silence):
            yield piece
            return
        if not piece.text:
            return
        overrides = [override for override in piece.overrides if override.asks]
        # An override's place counts characters, so text that has one is left as it is.
        text, places = (piece.text, None) if overrides else composed(piece.text)
        said = self.g2p(language).pronounce(text, overrides)
        found.guessed |= said.guessed
        phonemes = keep_known(said.phonemes)
        if len(phonemes) > MAX_PHONEMES:
            parts = _halve(piece, times=math.ceil(math.log2(len(phonemes) / MAX_PHONEMES)))
            if len(parts) > 1:
                for part in parts:
                    yield from self._pronounce(part, language, found)
                return
        start, end = piece.starts[0], piece.ends[-1]
        if is_audible(phonemes):
            words = placed_words(piece, places, said, phonemes[:MAX_PHONEMES])
            for i in range(0, len(phonemes), MAX_PHONEMES):
                # A second round is for what can't be cut, like a letter under 1,000 accents.
                shown = piece.text if i == 0 else ""
                said_now = phonemes[i : i + MAX_PHONEMES]
                yield Sentence(start, end, shown, said_now, said.unknown, words)
                start, words = end, ()
        elif any(map(str.isalnum, piece.text)):
            found.warnings.extend(PlanWarning("oov_word", word) for word in said.unknown)
            found.warnings.append(PlanWarning("unspeakable_text", piece.text[:100]))


def _pieces(
    text: str,
    paragraph: Paragraph,
    language: Language,
    offset: int,
    rewrites: Sequence[Rewrite],
) -> Iterator[SpokenText | Silence]:
    """Yield the sentences and the pauses of a paragraph, in order."""
    source = text[paragraph.start : paragraph.end]
    for part in resolve(source, offset=offset + paragraph.start, language=language):
        if isinstance(part, Silence):
            yield part
            continue
        spoken = part
        for rewrite in rewrites:
            spoken = rewrite(spoken)
        for start, end in sentences(spoken.text, language, _protected(spoken)):
            yield spoken.cut(start, end)


def _language(language: Language, voice: str, follow_voice: bool) -> Language:
    """Return what is spoken in `voice`, which is empty for the job's own."""
    return language_of_voice(parse_voice(voice).main) if voice and follow_voice else language


def _chapter_pause(mark: Mark, offset: int, pause_s: float) -> PlannedSegment:
    start, end = offset + mark.start, offset + mark.end
    return PlannedSegment(SegmentKind.PAUSE, start, end, pause_s=pause_s)


def _opened(piece: SpokenText | Silence, packer: Packer) -> list[SpokenText | Silence]:
    """Cut the clause off that makes a quick first segment; else leave the piece whole."""
    room = packer.quick_room
    if room is None or isinstance(piece, Silence):
        return [piece]
    # A character is about a phoneme; how many it is in truth shows only once it is pronounced.
    cut = opening_clause(piece.text, room, _protected(piece))
    return [piece] if cut is None else [piece.cut(0, cut), piece.cut(cut, len(piece.text))]


def _halve(piece: SpokenText, times: int) -> list[SpokenText]:
    """Cut a piece in two, its halves in two, …; what can't be cut stays whole."""
    cut = cut_point(piece.text, 0, len(piece.text), _protected(piece))
    if times == 0 or cut >= len(piece.text):
        return [piece]
    return [
        *_halve(piece.cut(0, cut), times - 1),
        *_halve(piece.cut(cut, len(piece.text)), times - 1),
    ]


def _protected(spoken: SpokenText) -> list[tuple[int, int]]:
    return [(override.start, override.end) for override in spoken.overrides]


def _joiner(language: Language) -> str:
    return "" if language in (Language.JAPANESE, Language.MANDARIN) else " "
