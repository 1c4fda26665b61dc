"""Words of a text and runs of its phonemes, where there are more of one than of the other."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from shared.alphabet import SOUNDS
from worker.plan.g2p.word_spans import WordSpan

BAND = 40
"""Sounds by which words and runs may have drifted apart before an alignment is given up."""

MOST_RUNS, MOST_JOINED = 12, 4
"""Runs that one word may have, and words that one run may have."""

_SOUNDS = frozenset(SOUNDS)
_SAID_MARKS = frozenset("%&+=@#$€£¥°§")


def words_of(text: str) -> list[tuple[int, int]]:
    """Return the runs between white space as (start, end), without the punctuation around them."""
    found = []
    for run in re.finditer(r"\S+", text):
        start, end = run.span()
        while end > start and not _belongs(text[end - 1]):
            end -= 1
        while start < end and not _belongs(text[start]):
            start += 1
        if start < end:
            found.append((start, end))
    return found


def _belongs(char: str) -> bool:
    # A vowel sign of Devanagari is no letter by itself.
    return char.isalnum() or char in _SAID_MARKS or unicodedata.category(char)[0] == "M"


def runs_of(phonemes: str) -> list[tuple[int, int]]:
    """Return the runs between spaces that make a sound, as (first, last)."""
    return [run.span() for run in re.finditer(r"\S+", phonemes) if not _SOUNDS.isdisjoint(run[0])]


def align(
    words: Sequence[tuple[int, int]], alone: Sequence[str], phonemes: str
) -> tuple[WordSpan, ...]:
    """Share out the runs of `phonemes` among words.

    A G2P says one word in several runs (numbers) or several in one (clitics). Runs are given to
    words so that lengths differ least from how each word is said alone.

    Args:
        words: (start, end) in the text.
        alone: how each is said by itself; a word that has no sound gets none.
        phonemes: what is said of all.
    """
    runs = runs_of(phonemes)
    expected = [_weight(said) for said in alone]
    spoken = [i for i, weight in enumerate(expected) if weight]
    if not runs or not spoken:
        return ()
    groups = _share(
        [expected[i] for i in spoken],
        [len(runs_of(alone[i])) for i in spoken],
        [_weight(phonemes[first:last]) for first, last in runs],
    )
    spans = []
    for group, (low, high) in groups:
        first, last = runs[low][0], runs[high - 1][1]
        total = sum(expected[spoken[i]] for i in group)
        done = 0
        for i in group:  # words that are said in one are told apart by their lengths alone
            begins = first + (last - first) * done // total
            done += expected[spoken[i]]
            ends = first + (last - first) * done // total
            spans.append(WordSpan(*words[spoken[i]], begins, ends))
    return tuple(spans)


def _weight(phonemes: str) -> int:
    return sum(symbol in _SOUNDS for symbol in phonemes)


def _share(
    expected: Sequence[int], usual_runs: Sequence[int], lengths: Sequence[int]
) -> list[tuple[range, tuple[int, int]]]:
    """Return groups of words with the runs that say them; one of the two is always one."""
    words, runs = len(expected), len(lengths)
    before = _sums(expected)
    heard = _sums(lengths)
    slack = BAND + min(abs(before[-1] - heard[-1]), 2 * BAND)
    best: dict[tuple[int, int], tuple[float, tuple[int, int]]] = {(0, 0): (0.0, (0, 0))}
    for i in range(words):
        for j in range(runs):
            state = best.get((i, j))
            if state is None or abs(before[i] - heard[j]) > slack:
                continue
            steps = [(1, k) for k in range(1, min(MOST_RUNS, runs - j) + 1)]
            steps += [(k, 1) for k in range(2, min(MOST_JOINED, words - i) + 1)]
            for took, used in steps:
                off = abs((before[i + took] - before[i]) - (heard[j + used] - heard[j]))
                usual = sum(usual_runs[i : i + took])
                cost = state[0] + off + 0.5 * abs(usual - used) + 0.5 * (took - 1)
                to = (i + took, j + used)
                if to not in best or cost < best[to][0]:
                    best[to] = (cost, (took, used))
    if (words, runs) not in best:
        return _evenly(words, runs)
    groups = []
    i, j = words, runs
    while i:
        took, used = best[i, j][1]
        groups.append((range(i - took, i), (j - used, j)))
        i, j = i - took, j - used
    return groups[::-1]


def _sums(numbers: Sequence[int]) -> list[int]:
    sums = [0]
    for number in numbers:
        sums.append(sums[-1] + number)
    return sums


def _evenly(words: int, runs: int) -> list[tuple[range, tuple[int, int]]]:
    """Pair them off by their place in the row."""
    groups = []
    steps = min(words, runs)
    edges = [(words * n // steps, runs * n // steps) for n in range(steps + 1)]
    for (i, j), (i_next, j_next) in pairwise(edges):
        groups.append((range(i, i_next), (j, j_next)))
    return groups
