import pytest

from shared.errors import InvalidLexicon
from shared.languages import Language
from shared.lexicon import Entry, Lexicon, check_reference, folded, is_name, make_lexicon


def test_a_lexicon_comes_back_from_the_ledger_as_it_went() -> None:
    lexicon = make_lexicon(
        Language.FRENCH,
        [Entry("Nîmes", "nˈim"), Entry("SNCF", respelling="S N C F", case_sensitive=True)],
    )
    assert Lexicon.from_json(lexicon.to_json()) == lexicon
    assert Lexicon.from_json(make_lexicon(None, [Entry("a", "ɐ")]).to_json()).language is None


def test_words_are_composed_and_their_spaces_single() -> None:
    (entry,) = make_lexicon(None, [Entry("  Cafe\u0301   au  lait ", "kæfˌeɪ")]).entries
    assert entry.word == "Café au lait"


@pytest.mark.parametrize(
    ("entry", "param", "says"),
    [
        (Entry("Kubernetes", "kˌubə@ɹ"), "entries.1.phonemes", "'@' (U+0040)"),
        (Entry("Kubernetes", "ˈˌ"), "entries.1.phonemes", "without any sound"),
        (Entry("Kubernetes"), "entries.1.phonemes", "either phonemes or a respelling"),
        (Entry("Kubernetes", "k", "kay"), "entries.1.phonemes", "either phonemes or a respelling"),
        (Entry("Kubernetes", "k" * 201), "entries.1.phonemes", "more than 200"),
        (Entry("Kubernetes", respelling="—"), "entries.1.respelling", "without a letter"),
        (Entry("Kubernetes", respelling="a\x00b"), "entries.1.respelling", "control character"),
        (Entry("[pause:1s]", "k"), "entries.1.word", "square bracket"),
        (Entry("  ", "k"), "entries.1.word", "1 to 100"),
        (Entry("k" * 101, "k"), "entries.1.word", "1 to 100"),
        (Entry("HELLO", "k"), "entries.1.word", "there already, as entry 0"),
        (Entry("k\ud800", "k"), "entries.1.word", "control character"),
    ],
)
def test_a_bad_entry_is_named(entry: Entry, param: str, says: str) -> None:
    with pytest.raises(InvalidLexicon) as caught:
        make_lexicon(None, [Entry("hello", "həlˈO"), entry])
    assert caught.value.param == param
    assert "Entry 1" in caught.value.message
    assert says in caught.value.message


def test_a_word_may_be_there_with_and_without_its_capitals() -> None:
    entries = [Entry("polish", "pˈɑlɪʃ"), Entry("Polish", "pˈOlɪʃ", case_sensitive=True)]
    assert len(make_lexicon(None, entries).entries) == 2


@pytest.mark.parametrize("name", ["a", "Names-2", "x.y_z", "n" * 64])
def test_names_are_short_and_plain(name: str) -> None:
    assert is_name(name)
    assert check_reference(name) == name
    assert check_reference(f"{name}@12") == f"{name}@12"


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", "n" * 65, "é", "a\n", "a:b", "a@0", "a@"])
def test_other_names_name_nothing(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(InvalidLexicon):
        check_reference(name)


@pytest.mark.parametrize("text", ["İstanbul", "Straße", "ΟΔΟΣ", "O’Brien", "ﬁ"])
def test_folding_keeps_every_character_in_its_place(text: str) -> None:
    assert len(folded(text)) == len(text)
