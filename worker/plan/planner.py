"""A window of a job's text in, segments out.

    window → paragraphs → markup resolved → sentences → phonemes → segments

A paragraph is packed by itself, so an edit changes the segments of its own paragraph only.
"""

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from shared.alphabet import is_audible, keep_known
from shared.languages import Language
from shared.markup import LONGEST_MARK_CHARS
from worker.plan.g2p import G2P, make_g2p
from worker.plan.markup import Silence, SpokenText, resolve
from worker.plan.packing import MAX_PHONEMES, Packer, Sentence
from worker.plan.paragraphs import Paragraph, paragraphs
from worker.plan.rewriting import Rewrite
from worker.plan.segment import PlannedSegment, PlannedSlice, PlanWarning
from worker.plan.sentences import cut_point, sentences

MIN_WINDOW_CHARS = 8192
"""A window this long always gets on, whatever is in it; a shorter one may have to be given more."""

_IN_SIGHT_CHARS = LONGEST_MARK_CHARS + 100
"""What must follow a sentence before its end is sure: a mark begun in it, closing quotes."""


@dataclass
class _Findings:
    """What planning one window has come to so far.

    Attributes:
        rewrites: passes over the spoken text, in order.
    """

    rewrites: Sequence[Rewrite]
    segments: list[PlannedSegment] = field(default_factory=list)
    warnings: list[PlanWarning] = field(default_factory=list)
    guessed: dict[str, str] = field(default_factory=dict)


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
        rewrites: Sequence[Rewrite] = (),
    ) -> PlannedSlice:
        """Plan a window of a job's input.

        Segments don't depend on where windows end: what the window may hold only a part of is
        left for the next, which begins at `offset + consumed`.

        Args:
            text: the window: everything from `offset` on, up to any length. At least
                `MIN_WINDOW_CHARS` unless it is final; from a shorter one nothing may be consumed.
            language: of the text.
            offset: index of the window's first character in the job's input.
            final: True when the input ends with the window; all of it is then consumed.
            rewrites: passes over the spoken text, in order: normalisation, lexicons.

        Raises:
            InvalidMarkup: a malformed mark, which `shared.markup.check_input` finds beforehand.
            LanguageUnavailable: see `g2p`.
        """
        found = _Findings(rewrites)
        at_line_start = offset == 0 or text[:1] in ("\n", "\r")
        consumed = 0
        for paragraph in paragraphs(text, at_line_start=at_line_start, final=final):
            if paragraph.closed:
                self._plan(text, paragraph, language, offset, found)
                consumed = paragraph.end
            elif consumed == 0:
                consumed = self._plan_open(text, paragraph, language, offset, found)
        if final:
            consumed = len(text)
        elif not text.strip():
            consumed = max(text.rfind("\n"), 0) or len(text)
        return PlannedSlice(
            tuple(found.segments), consumed, tuple(found.warnings), tuple(found.guessed.items())
        )

    def _plan(
        self, text: str, paragraph: Paragraph, language: Language, offset: int, found: _Findings
    ) -> None:
        """Plan a whole paragraph."""
        packer = Packer(_joiner(language))
        for piece in _pieces(text, paragraph, language, offset, found.rewrites):
            for item in self._pronounce(piece, language, found):
                found.segments.extend(packer.add(item))
        found.segments.extend(packer.close())

    def _plan_open(
        self, text: str, paragraph: Paragraph, language: Language, offset: int, found: _Findings
    ) -> int:
        """Plan what is sure of a paragraph that goes on beyond the window.

        Returns:
            How many characters of the window that accounts for.
        """
        packer = Packer(_joiner(language))
        sure_end = offset + len(text) - _IN_SIGHT_CHARS
        consumed_to = offset
        for piece in _pieces(text, paragraph, language, offset, found.rewrites):
            last = piece.end if isinstance(piece, Silence) else max(piece.ends, default=0)
            if last > sure_end:
                break
            for item in self._pronounce(piece, language, found):
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
        if len(text) >= MIN_WINDOW_CHARS:
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
        text = piece.text if overrides else unicodedata.normalize("NFC", piece.text)
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
            for i in range(0, len(phonemes), MAX_PHONEMES):
                # A second round is for what can't be cut, like a letter under 1,000 accents.
                said_now = phonemes[i : i + MAX_PHONEMES]
                yield Sentence(start, end, piece.text if i == 0 else "", said_now, said.unknown)
                start = end
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
