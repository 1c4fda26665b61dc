"""Part-of-speech tags good enough for misaki's lexicon, where spaCy's tagger is not installed.

The lexicon needs a tag for every mark of punctuation, for currencies and numbers, and to choose
between two ways of saying some hundred words. Tags are those of the Penn Treebank.
"""

import re
from collections.abc import Sequence

_FIXED: dict[str, str] = {
    **dict.fromkeys([".", "!", "?", "…", "...", "!!", "??", "?!", "!?", "...."], "."),
    **dict.fromkeys([";", ":", "—", "–", "--", "---", "―"], ":"),
    **dict.fromkeys(["(", "[", "{"], "-LRB-"),
    **dict.fromkeys([")", "]", "}"], "-RRB-"),
    **dict.fromkeys(["“", "„", "«", "‘", "``"], "``"),
    **dict.fromkeys(["”", "»", "''"], "''"),
    **dict.fromkeys(["$", "£", "€"], "$"),
    ",": ",",
    "#": "#",
    "&": "CC",
    "%": "NN",
    "@": "IN",
    **dict.fromkeys(["a", "an", "the", "every", "each", "no", "these", "those", "this"], "DT"),
    **dict.fromkeys(["some", "any", "both", "another"], "DT"),
    "to": "TO",
    **dict.fromkeys(["i", "you", "he", "she", "it", "we", "they", "me", "him", "us"], "PRP"),
    "them": "PRP",
    **dict.fromkeys(["my", "your", "his", "her", "its", "our", "their"], "PRP$"),
    **dict.fromkeys(
        [
            "in", "of", "at", "by", "for", "with", "from", "on", "into", "onto", "about", "as",
            "over", "under", "between", "through", "during", "against", "than", "if", "because",
            "that", "vs", "vs.", "per", "via", "without", "within", "after", "before",
        ],
        "IN",
    ),
    **dict.fromkeys(
        ["can", "could", "will", "would", "shall", "should", "may", "might", "must", "'ll", "ca"],
        "MD",
    ),
    **dict.fromkeys(["and", "or", "but", "nor"], "CC"),
    **dict.fromkeys(["do", "does", "did", "don't", "didn't", "let"], "VBP"),
    **dict.fromkeys(["have", "has", "had", "'ve", "having"], "VBP"),
    **dict.fromkeys(["is", "are", "was", "were", "be", "been", "'re", "am"], "VBP"),
    **dict.fromkeys(["not", "n't", "never", "always", "also", "just", "only", "often"], "RB"),
}  # fmt: skip
_NUMBER = re.compile(r"[-+]?\d[\d,.]*(?:st|nd|rd|th|s|'s)?|\.\d+")
_DECORATION = re.compile(r"[*_~^|\\<>=#`•·]{2,}|[*_~^|\\`•·]")
_HAVE = frozenset(["have", "has", "had", "'ve", "having"])
_BARE_VERB = frozenset(
    ["to", "do", "does", "did", "n't", "let", "not", "please", "i", "you", "we", "they", "who"]
)
_PAST = frozenset(["yesterday", "ago", "once"])


def tag_words(words: Sequence[str], spaces: Sequence[str]) -> list[str]:
    """Return one tag per word.

    Args:
        words: spaCy's tokens of one sentence.
        spaces: the white space after each, `" "` or `""`.
    """
    tags: list[str] = []
    in_single_quotes = False
    in_double_quotes = False
    shouting = sum(word.isupper() for word in words) > len(words) // 2
    for i, word in enumerate(words):
        opens = i == 0 or spaces[i - 1] != "" or tags[-1] in ("-LRB-", "``")
        if word == '"':
            tag = "''" if in_double_quotes or not opens else "``"
            in_double_quotes = tag == "``"
        elif word in ("'", "’"):
            tag = "``" if opens and not in_single_quotes else "''" if in_single_quotes else "POS"
            in_single_quotes = tag == "``" and word == "'"
        elif word in ("-", "‐", "‑"):
            tag = ":" if opens and (spaces[i] != "" or i + 1 == len(words)) else "HYPH"
        elif word == "I":
            tag = "PRP"
        elif word in ("am", "AM", "pm", "PM") and tags and tags[-1] == "CD":
            tag = "NN"
        elif word == "A" and i > 0 and (not opens or words[i - 1][-1:].isalnum()):
            tag = "NN"  # "vitamin A", "Plan A"; an article would be small here.
        elif _NUMBER.fullmatch(word):
            tag = "CD"
        elif _DECORATION.fullmatch(word):
            tag = "NFP"
        else:
            tag = _FIXED.get(word.lower()) or _open_class(words, tags, i, shouting)
        tags.append(tag)
    return tags


def _open_class(words: Sequence[str], tags: Sequence[str], i: int, shouting: bool) -> str:
    """Tag a noun, verb or adjective by the words before it."""
    word = words[i]
    if word.isupper() and len(word) > 1 and not shouting:
        return "NNP"
    before = [j for j in range(max(0, i - 3), i) if tags[j] != "RB"]
    if not before:
        return "NN" if i else "VB"
    previous, tag = words[before[-1]].lower(), tags[before[-1]]
    if previous in _HAVE:
        return "VBN"
    if tag == "MD" or previous in _BARE_VERB:
        past = not _PAST.isdisjoint(later.lower() for later in words[i:])
        return "VBD" if past and tag == "PRP" else "VB"
    if tag in ("DT", "PRP$", "IN", "JJ", "POS"):
        return "NN"
    return "NN"
