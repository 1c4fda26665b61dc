"""Short forms whose full stop ends no sentence, by language."""

from shared.languages import Language

_ENGLISH = """
dr mr mrs ms mx prof st mt ft gen col maj capt cmdr lt sgt rev hon gov sen rep pres supt fr br sr jr
messrs esq vs no nos fig figs eq p pp vol vols ch sec ed eds cf al approx ca dept est inc ltd co
corp bros jan feb mar apr jun jul aug sep sept oct nov dec e.g i.e viz etc ave blvd rd
"""
_SHORT_FORMS = {
    Language.AMERICAN_ENGLISH: _ENGLISH,
    Language.BRITISH_ENGLISH: _ENGLISH,
    Language.SPANISH: """
sr sra srta sres dr dra d dña prof profa ud uds vd vds núm pág págs art cap vol ed ej p.ej aprox tel
avda gral ing lic arq etc
""",
    Language.FRENCH: """
m mm mme mlle dr pr me st ste cf p pp vol chap art fig ex p.ex env av bd tél etc
""",
    Language.ITALIAN: """
sig sigg dott dr prof ing avv arch geom rag p pp pag pagg vol cap art fig p.es ca tel ecc
""",
    Language.BRAZILIAN_PORTUGUESE: """
sr sra srta srs dr dra d prof profa exmo exma v.ex pág págs núm art cap vol ed ex p.ex aprox tel av
etc
""",
    Language.HINDI: "डॉ श्री प्रो सं पृ रु dr mr mrs prof",
}

ABBREVIATIONS: dict[Language, frozenset[str]] = {
    language: frozenset(words.split()) for language, words in _SHORT_FORMS.items()
}
"""Lower case, without the last full stop."""

MAY_END = frozenset({"etc", "ecc", "inc", "ltd", "co", "corp", "jr", "esq", "al"})
"""Those that stand at a sentence's end as often as inside one."""

NUMBERED = frozenset(
    {"no", "nos", "fig", "figs", "eq", "p", "pp", "vol", "vols", "ch", "sec", "art", "cap", "núm"}
)
"""Those that are short forms before a number only: "No. 5", but "I said no." is a sentence."""

_OPENERS = """
a all also although an and as at but by did do does for from he her here his how however i if in is
it its my no not now of on one or our she so some such that the their then there these they this
those to was we were what when where which who why with yes you your el la los las le les un une il
lo o os em na este esta ce cette elle ella ele ela
"""
OPENERS = frozenset(_OPENERS.split())
"""Words that, capitalised, begin a sentence: "in the U.S. The …" ends one, "the U.S. Army" not."""
