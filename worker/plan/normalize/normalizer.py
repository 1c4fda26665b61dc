"""All rules of a language, in order, as one pass over spoken text."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from shared.languages import Language
from worker.plan.markup import SpokenText
from worker.plan.normalize import addresses, measures, numbers, romans, short_forms, times
from worker.plan.rewriting import Change, rewritten

Rule = Callable[[str, Language], Iterable[Change]]

_RULES: tuple[Rule, ...] = (
    addresses.changes,
    times.changes,
    measures.changes,
    numbers.changes,
    romans.changes,
    short_forms.changes,
)
"""A stretch that one has taken is not offered to the next."""

_UNTOUCHED = (Language.JAPANESE, Language.MANDARIN)
_ANYTHING = re.compile(r"[\d.@/°º₹]|\b[IVXLC]+\b|[IVXLC]+e")


class Normalizer:
    """Writes out what the G2P of a language would misread. Once written out, it finds nothing more.

    Args:
        language: of the text.
    """

    def __init__(self, language: Language) -> None:
        self._language = language

    def __call__(self, spoken: SpokenText) -> SpokenText:
        """Return what is to be read; what the author has marked stays as marked."""
        if self._language in _UNTOUCHED or not _ANYTHING.search(spoken.text):
            return spoken
        taken = [(o.start, o.end) for o in spoken.overrides]
        found: list[Change] = []
        for rule in _RULES:
            for change in self._free(rule(spoken.text, self._language), taken):
                found.append(change)
            found.sort(key=lambda change: change.start)
            taken = sorted(
                [(o.start, o.end) for o in spoken.overrides] + [(c.start, c.end) for c in found]
            )
        return rewritten(spoken, found)

    @staticmethod
    def _free(changes: Iterable[Change], taken: list[tuple[int, int]]) -> Iterator[Change]:
        """Yield those that nothing taken overlaps."""
        last_end = 0
        for change in changes:
            at = bisect_left(taken, (change.start, change.start))
            before = at > 0 and taken[at - 1][1] > change.start
            after = at < len(taken) and taken[at][0] < change.end
            if change.start >= last_end and not before and not after:
                last_end = change.end
                yield change
