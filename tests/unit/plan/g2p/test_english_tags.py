import pytest

from worker.plan.g2p.english_tags import tag_words


@pytest.mark.parametrize(
    ("text", "word", "tag"),
    [
        ("the record", "record", "NN"),
        ("to record", "record", "VB"),
        ("has read", "read", "VBN"),
        ("I read it yesterday", "read", "VBD"),
        ("vitamin A today", "A", "NN"),
        ("a day", "a", "DT"),
        ("A day", "A", "DT"),
        ("10 am today", "am", "NN"),
        ("FBI agents came", "FBI", "NNP"),
        ("$ 3.50", "3.50", "CD"),
        ("$ 3.50", "$", "$"),
        ("one - two", "-", ":"),
        ("( x )", "(", "-LRB-"),
        ("hm ... yes", "...", "."),
        ("*** yes", "***", "NFP"),
    ],
)
def test_a_word_gets_the_tag_the_lexicon_asks_for(text: str, word: str, tag: str) -> None:
    words = text.split()
    assert tag_words(words, [" "] * len(words))[words.index(word)] == tag


def test_straight_quotes_open_and_close() -> None:
    words, spaces = ['"', "no", '"', "she", "'", "yes", "'"], ["", "", " ", " ", "", "", ""]
    tags = tag_words(words, spaces)
    assert [tags[0], tags[2], tags[4], tags[6]] == ["``", "''", "``", "''"]


def test_an_apostrophe_after_a_plural_is_no_quote() -> None:
    assert tag_words(["dogs", "'", "bowls"], ["", " ", ""])[1] == "POS"


def test_a_hyphen_inside_a_word_is_no_dash() -> None:
    assert tag_words(["rock", "-", "roll"], ["", "", ""])[1] == "HYPH"
