"""Web and mail addresses, said with their dots."""

import re
from collections.abc import Iterator

from shared.languages import Language
from worker.plan.rewriting import Change

MAX_CHARS = 200
"""Longer runs are not taken for addresses."""

MAX_PATH_CHARS = 40
"""Of an address with a longer path the host is said: nobody remembers the rest."""

_SAID: dict[Language, tuple[str, str, str]] = {
    Language.AMERICAN_ENGLISH: ("dot", "slash", "at"),
    Language.BRITISH_ENGLISH: ("dot", "slash", "at"),
    Language.SPANISH: ("punto", "barra", "arroba"),
    Language.FRENCH: ("point", "barre oblique", "arobase"),
    Language.HINDI: ("डॉट", "स्लैश", "ऐट"),
    Language.ITALIAN: ("punto", "barra", "chiocciola"),
    Language.BRAZILIAN_PORTUGUESE: ("ponto", "barra", "arroba"),
}
_HOST = r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}"
_COMMON_TOP = "com|org|net|edu|gov|io|dev|app|info|eu|uk|de|fr|es|it|br|in|us|ca|au|co|ai|me"
_ADDRESS = re.compile(
    rf"(?P<mail>(?<![\w.@-])[A-Za-z0-9._%+-]{{1,64}}@{_HOST}(?![\w-]))"
    rf"|(?<![\w.@/-])(?:(?P<scheme>https?://)|(?=www\.)|(?=[a-z0-9-]{{1,63}}(?:\.[a-z0-9-]{{1,63}})*"
    rf"\.(?:{_COMMON_TOP})\b))(?P<host>{_HOST})(?::\d{{1,5}})?(?P<path>[/?#][^\s<>\"“”]{{0,{MAX_CHARS}}})?"
)
_LAST = ".,;:!?)]}'’»"
_PARTS = re.compile(r"[./@]|[-_]")


def changes(text: str, language: Language) -> Iterator[Change]:
    """Yield the addresses of `text`, written as they are said."""
    if "." not in text or language not in _SAID:
        return
    for match in _ADDRESS.finditer(text):
        start, end = match.span()
        while end > start and text[end - 1] in _LAST:
            end -= 1
        if match["mail"] is not None:
            said = match["mail"].rstrip(_LAST)
        else:
            said = match["host"] + _path(text[match.end("host") : end])
        yield Change(start, end, text=_say(said, language))


def _path(path: str) -> str:
    path = path[path.find("/") :] if "/" in path else ""
    shown = re.split(r"[?#]", path, maxsplit=1)[0].rstrip("/")
    return shown if len(shown) <= MAX_PATH_CHARS and "%" not in shown else ""


def _say(address: str, language: Language) -> str:
    dot, slash, at = _SAID[language]
    names = {".": f" {dot} ", "/": f" {slash} ", "@": f" {at} ", "-": " ", "_": " "}
    said = _PARTS.sub(lambda match: names[match[0]], address)
    return " ".join(said.split())
