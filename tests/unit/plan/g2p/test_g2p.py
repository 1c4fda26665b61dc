import subprocess
import sys
from collections.abc import Callable

import pytest

from shared.alphabet import is_audible, keep_known
from shared.errors import LanguageUnavailable
from shared.languages import Language
from worker.plan.g2p import G2P, japanese, make_g2p, mandarin
from worker.plan.g2p.base import Pronunciation
from worker.plan.g2p.word_spans import WordSpan
from worker.plan.markup import Override
from worker.plan.planner import Planner

SENTENCES = {
    Language.AMERICAN_ENGLISH: ("Hello, world!", "həlˈO, wˈɜɹld!"),
    Language.BRITISH_ENGLISH: ("Hello, world!", "həlˈQ, wˈɜːld!"),
    Language.SPANISH: ("¿Qué tal, mundo?", "kˈe tˈal, mˈundo?"),
    Language.FRENCH: ("Bonjour le monde.", "bɔ̃ʒˈuʁ lə mˈɔ̃d."),
    Language.HINDI: ("नमस्ते दुनिया।", "nəmˈʌsteː dˈʊnɪjˌaː."),
    Language.ITALIAN: ("Ciao mondo.", "ʧˈao mˈondo."),
    Language.BRAZILIAN_PORTUGUESE: ("Olá, mundo.", "olˈa, mˈu\u0303ŋdʊ."),
    Language.JAPANESE: ("こんにちは、世界。", "koɲɲiʨiβa, sekai."),
    Language.MANDARIN: ("你好，世界。", "ni↓xau↓, ʂɨ↘ʨje↘."),
}


def say(planner: Planner, text: str, language: Language | str, *overrides: Override) -> str:
    return keep_known(planner.g2p(Language(language)).pronounce(text, overrides).phonemes)


def test_each_language_pronounces_a_sentence(planner: Planner, language: Language) -> None:
    text, phonemes = SENTENCES[language]
    said = planner.g2p(language).pronounce(text)
    assert (keep_known(said.phonemes), said.unknown) == (phonemes, ())


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("$3.50", "θɹˈi dˈɑləɹz ænd fˈɪfti sˈɛnts"),
        ("in 1984", "ɪn nˌIntˈin ˈATi fˈɔɹ"),
        ("(yes) -- no…", "(jˈɛs) — nˈO…"),
        ('"Yes," he said.', "“jˈɛs,” hi sˈɛd."),
        ("7" * 16, " ".join(["sˈɛvən"] * 16)),
        ("1.2.3e", "wˈʌn tˈu θɹˈi ˈi"),
        ("café cafe\u0301", "kæfˈA kæfˈA"),
        ("50%", "fˈɪfti pəɹsˈɛnt"),
    ],
)
def test_english_reads_numbers_money_and_punctuation(
    planner: Planner, text: str, phonemes: str
) -> None:
    assert say(planner, text, "en-us") == phonemes


def test_english_tells_a_record_from_to_record(planner: Planner) -> None:
    assert say(planner, "the record", "en-us") != say(planner, "to record", "en-us")[3:]
    assert say(planner, "to record", "en-us").endswith("ɹəkˈɔɹd")


@pytest.mark.parametrize("language_code", ["en-us", "fr", "ja", "zh"])
def test_an_override_replaces_its_word_only(planner: Planner, language_code: str) -> None:
    if language_code == "ja":
        pytest.importorskip("unidic_lite")
    text = "Kokoro."
    assert say(planner, text, language_code, Override(0, 6, "kˈoko")) == "kˈoko."


def test_an_english_override_ends_inside_a_token(planner: Planner) -> None:
    assert say(planner, "the Kokoros", "en-us", Override(4, 10, "ˈæ")) == "ði ˈæˈɛs"


def test_a_stress_mark_changes_the_stress(planner: Planner) -> None:
    assert say(planner, "the", "en-us", Override(0, 3, stress=2)) == "ðˈə"
    assert say(planner, "Hello", "en-us", Override(0, 5, stress=-2)) == "həlO"


@pytest.mark.parametrize(
    ("language_code", "text", "word"),
    [
        ("en-us", "Say Привет now.", "Привет"),
        ("en-us", "Say 你好 now.", "你好"),
        ("fr", "Dis नमस्ते vite.", "नमस्ते"),
        ("zh", "你好 한국。", "한국"),
        ("zh", "\U00020bb7。", "\U00020bb7"),
    ],
)
def test_a_word_in_a_script_it_cannot_read_is_reported_and_not_spelled(
    planner: Planner, language_code: str, text: str, word: str
) -> None:
    said = planner.g2p(Language(language_code)).pronounce(text)
    assert said.unknown == (word,)
    assert "lˈɛT" not in said.phonemes


@pytest.mark.parametrize("language_code", ["es", "fr", "it", "pt-br", "hi"])
def test_a_decimal_is_read_as_one_number(planner: Planner, language_code: str) -> None:
    assert "," not in say(planner, "3,14", language_code)
    assert say(planner, "3,14", language_code) == say(planner, "3.14", language_code)


@pytest.mark.parametrize("language_code", ["ja", "zh"])
def test_english_words_inside_other_text_are_spoken_as_english(
    planner: Planner, language_code: str
) -> None:
    if language_code == "ja":
        pytest.importorskip("unidic_lite")
    said = say(planner, "我 computer。", language_code)
    assert say(planner, "computer", "en-us") in said


@pytest.mark.parametrize("number", ["12345678901234567890", "1/0", "2024-13-45", "٣", "3.14%", "①"])
def test_any_number_is_read_in_every_language(
    planner: Planner, language: Language, number: str
) -> None:
    assert is_audible(say(planner, number, language))


@pytest.mark.parametrize(
    ("module", "build", "extra"),
    [
        (japanese, japanese.JapaneseG2P, r"kokoro-cluster\[ja\]"),
        (mandarin, mandarin.MandarinG2P, r"kokoro-cluster\[zh\]"),
    ],
)
def test_a_language_without_its_packages_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, module: object, build: Callable[[], G2P], extra: str
) -> None:
    monkeypatch.setattr(module, "_PACKAGES", ("misaki", "no_such_package_at_all"))
    with pytest.raises(LanguageUnavailable, match=extra):
        build()


def test_english_without_the_tagger_says_so_and_how_to_get_it(planner: Planner) -> None:
    degraded = planner.degraded(Language.AMERICAN_ENGLISH)
    assert degraded is None or "python -m spacy download en_core_web_sm" in degraded


def test_planning_does_not_load_torch() -> None:
    code = (
        "import sys\n"
        "from shared.languages import Language\n"
        "from worker.plan.planner import Planner\n"
        "for code in ('en-us', 'fr'):\n"
        "    Planner().plan_slice('Hello.', language=Language(code), offset=0, final=True)\n"
        "print(sorted({'torch', 'kokoro', 'fastapi'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_english_phonemes_equal_upstreams_pipeline() -> None:
    pytest.importorskip("kokoro")
    code = (
        "from kokoro import KPipeline\n"
        "from shared.languages import Language\n"
        "from worker.plan.g2p.english import EnglishG2P\n"
        "from worker.plan.planner import Planner\n"
        "planner = Planner()\n"
        "for code in ('en-us', 'en-gb'):\n"
        "    for text in ('The quick brown fox jumps over the lazy dog.',\n"
        "                 'Dr. Smith paid $3.50, on Jan. 5th, 1984!',\n"
        "                 'She said: “well—no; the apple (a red one) is mine…” Why?',\n"
        "                 'Kubernetes and xkcd are not in any lexicon.'):\n"
        "        g2p = planner.g2p(Language(code))\n"
        "        (chunk,) = KPipeline.en_tokenize(None, g2p.tokens(text))\n"
        "        slice = planner.plan_slice(text, language=Language(code), offset=0, final=True)\n"
        "        assert [s.phonemes for s in slice.segments] == [chunk[1]], (chunk, slice)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_building_a_g2p_twice_gives_the_same_words() -> None:
    said = Pronunciation("ʧˈao.", words=(WordSpan(0, 4, 0, 5),))
    assert make_g2p(Language.ITALIAN).pronounce("Ciao.") == said
