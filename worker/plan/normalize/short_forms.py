"""Abbreviations that a G2P spells, or stops after."""

import re
from collections.abc import Iterator
from functools import cache

from shared.languages import Language
from worker.plan.rewriting import Change

_BEFORE_NAME = r"(?=\s[^\W\d_a-zà-ÿ])"
_BEFORE_NUMBER = r"(?=\s?\d)"
_ENGLISH = {
    _BEFORE_NUMBER: {
        "No.": "number", "Nos.": "numbers", "Fig.": "figure", "fig.": "figure", "Figs.": "figures",
        "Vol.": "volume", "vol.": "volume", "Ch.": "chapter", "ch.": "chapter", "Sec.": "section",
        "p.": "page", "pp.": "pages", "approx.": "approximately", "ca.": "circa", "Eq.": "equation",
    },
    _BEFORE_NAME: {
        "Prof.": "Professor", "Gen.": "General", "Capt.": "Captain", "Sgt.": "Sergeant",
        "Lt.": "Lieutenant", "Col.": "Colonel", "Maj.": "Major", "Sen.": "Senator",
        "Rep.": "Representative", "Gov.": "Governor", "Rev.": "Reverend", "Hon.": "Honorable",
        "Fr.": "Father", "Mt.": "Mount", "Ft.": "Fort",
    },
    "": {"e.g.": "for example", "i.e.": "that is", "w/o": "without"},
}  # fmt: skip
_TABLES: dict[Language, dict[str, dict[str, str]]] = {
    Language.AMERICAN_ENGLISH: _ENGLISH,
    Language.BRITISH_ENGLISH: _ENGLISH,
    Language.SPANISH: {
        _BEFORE_NAME: {
            "Sr.": "señor", "Sra.": "señora", "Srta.": "señorita", "Dr.": "doctor",
            "Dra.": "doctora", "Prof.": "profesor", "Dña.": "doña",
        },
        _BEFORE_NUMBER: {
            "pág.": "página", "págs.": "páginas", "núm.": "número", "n.º": "número",
            "nº": "número", "cap.": "capítulo", "vol.": "volumen", "art.": "artículo",
        },
        "": {
            "EE. UU.": "Estados Unidos", "EE.UU.": "Estados Unidos", "p. ej.": "por ejemplo",
            "Ud.": "usted", "Uds.": "ustedes", "Vd.": "usted",
        },
    },
    Language.FRENCH: {
        _BEFORE_NAME: {
            "M.": "monsieur", "MM.": "messieurs", "Dr.": "docteur", "Pr.": "professeur",
        },
        _BEFORE_NUMBER: {
            "n°": "numéro", "nº": "numéro", "p.": "page", "pp.": "pages", "chap.": "chapitre",
            "vol.": "volume", "art.": "article",
        },
        "": {
            "p. ex.": "par exemple", "c.-à-d.": "c'est-à-dire", "av. J.-C.": "avant Jésus-Christ",
            "apr. J.-C.": "après Jésus-Christ",
        },
    },
    Language.ITALIAN: {
        _BEFORE_NAME: {
            "Sig.": "signor", "Sig.ra": "signora", "Sig.na": "signorina", "Dott.": "dottor",
            "Dott.ssa": "dottoressa", "Prof.": "professor", "Prof.ssa": "professoressa",
            "Ing.": "ingegner", "Avv.": "avvocato",
        },
        _BEFORE_NUMBER: {
            "pag.": "pagina", "pagg.": "pagine", "cap.": "capitolo", "vol.": "volume",
            "n.": "numero", "n°": "numero", "art.": "articolo",
        },
        "": {"p. es.": "per esempio", "p.es.": "per esempio", "a.C.": "avanti Cristo"},
    },
    Language.BRAZILIAN_PORTUGUESE: {
        _BEFORE_NAME: {
            "Sr.": "senhor", "Sra.": "senhora", "Srta.": "senhorita", "Dr.": "doutor",
            "Dra.": "doutora", "Prof.": "professor", "Profa.": "professora",
        },
        _BEFORE_NUMBER: {
            "pág.": "página", "págs.": "páginas", "nº": "número", "n.º": "número",
            "cap.": "capítulo", "vol.": "volume", "art.": "artigo",
        },
        "": {"p. ex.": "por exemplo", "p.ex.": "por exemplo"},
    },
    Language.HINDI: {
        "": {"डॉ.": "डॉक्टर", "प्रो.": "प्रोफ़ेसर", "श्री.": "श्री", "कि.मी.": "किलोमीटर", "रु.": "रुपये"},
    },
}  # fmt: skip
# "Main St." is a street, "St. Paul" a saint, which the G2P says when it can't tell.
_STREET = re.compile(r"(?<=[a-z] )(St|Ave|Blvd|Rd)\.(?=(\s[a-z]|[,;:])|\s*$|\s[A-Z])")
_STREETS = {"St": "Street", "Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road"}


def changes(text: str, language: Language) -> Iterator[Change]:
    """Yield the abbreviations of `text`, written out; a full stop that ends a sentence stays."""
    if language not in _TABLES:
        return
    pattern, words = _compiled(language)
    found = []
    for match in pattern.finditer(text):
        said = words[match[0]]
        found.append(Change(*match.span(), text=said))
    if _TABLES[language] is _ENGLISH:
        found += _streets(text)
    yield from sorted(found, key=lambda change: change.start)


@cache
def _compiled(language: Language) -> tuple[re.Pattern[str], dict[str, str]]:
    words: dict[str, str] = {}
    branches = []
    for following, table in _TABLES[language].items():
        forms = "|".join(sorted(map(re.escape, table), key=len, reverse=True))
        branches.append(rf"(?:{forms}){following}")
        words |= table
    return re.compile(rf"(?<![\w.])(?:{'|'.join(branches)})(?!\w)"), words


def _streets(text: str) -> Iterator[Change]:
    for match in _STREET.finditer(text):
        name = text[max(0, match.start() - 64) : match.start()].rstrip().rpartition(" ")[2]
        if not name[:1].isupper():
            continue
        inside = match[2] is not None
        if match[1] == "St" and text[match.end() + 1 : match.end() + 2].isupper():
            continue  # "by Main St. Paul waited" can't be told from "near St. Paul"
        said = _STREETS[match[1]]
        yield Change(*match.span(), text=said if inside else said + ".")
