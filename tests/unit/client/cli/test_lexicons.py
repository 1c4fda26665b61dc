import pytest

from client.cli.lexicons import content_of
from client.errors import InvalidUse
from client.lexicon import LexiconEntry


def test_a_lexicon_is_lines_of_a_word_and_what_is_said() -> None:
    entries, language = content_of("# ours\n\nSQL = sequel\nNguyen=/wˈɪn/\nand/or = and or\n")
    assert entries == [
        LexiconEntry(word="SQL", respelling="sequel"),
        LexiconEntry(word="Nguyen", phonemes="wˈɪn"),
        LexiconEntry(word="and/or", respelling="and or"),
    ]
    assert language is None


def test_a_lexicon_is_json_as_the_api_shows_it() -> None:
    text = '{"name": "x", "language": "en-us", "entries": [{"word": "SQL", "phonemes": null,'
    text += '"respelling": "sequel", "case_sensitive": true}]}'
    entry = LexiconEntry(word="SQL", respelling="sequel", case_sensitive=True)
    assert content_of(text) == ([entry], "en-us")
    assert content_of('[{"word": "a", "phonemes": "b"}]') == (
        [LexiconEntry(word="a", phonemes="b")],
        None,
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("SQL = sequel\nno mark\n", "Line 2"),
        ("SQL =\n", "Line 1"),
        ("= sequel\n", "Line 1"),
        ("{", "not JSON"),
        ('{"words": []}', "entries"),
        ('{"language": 1, "entries": []}', "entries"),
        ('[{"word": "a"}, {"respelling": "b"}]', "has no 'word'"),
        ("[1]", "Entry 0"),
    ],
)
def test_what_is_no_lexicon_is_named_by_its_place(text: str, place: str) -> None:
    with pytest.raises(InvalidUse, match=place):
        content_of(text)
