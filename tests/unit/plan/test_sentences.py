import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.languages import Language
from worker.plan.sentences import MAX_SENTENCE_CHARS, cut_point, sentences

EN, ES, FR, HI = Language("en-us"), Language("es"), Language("fr"), Language("hi")
IT, PT, JA, ZH = Language("it"), Language("pt-br"), Language("ja"), Language("zh")


def split(text: str, language: Language = EN) -> list[str]:
    return [text[start:end] for start, end in sentences(text, language)]


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (EN, ["Hello. ", "How are you? ", "Fine!"]),
        (EN, ["“Stop!” he said. ", "“Why?” ", "She left."]),
        (EN, ["Dr. Smith met J. R. R. Tolkien in the U.S. Army. ", "They talked."]),
        (EN, ["He lived in the U.S. ", "The house was big, e.g. 3.14 acres."]),
        (EN, ["He said (quietly.) ", 'Then "no." ', "Well… maybe."]),
        (EN, ["1. Buy milk, eggs, etc. today. ", "See example.com now!"]),
        (EN, ["At 5 p.m. on Jan. 5th. ", "Mr. and Mrs. Jones came."]),
        (ES, ["¿Qué tal? ", "El Sr. García pagó 3.50 euros. ", "¡Bien!"]),
        (FR, ["Voici M. Dupont. ", "«Bonjour.» ", "Il est là !"]),
        (HI, ["नमस्ते दुनिया। ", "आप कैसे हैं? ", "डॉ. शर्मा आए॥"]),
        (IT, ["Il dott. Rossi arriva. ", "Ciao!"]),
        (PT, ["O Sr. Silva chegou. ", "Olá!"]),
        (JA, ["こんにちは。", "「すごい！」", "本当？", "はい。"]),
        (JA, ["３．１４です。", "ｵﾜﾘ｡", "次"]),
        (ZH, ["你好。", "“真的吗？”", "好!", "再见……", "走了。"]),
        (ZH, ["他说：“好。”", "（完。）", "价格是3.5万。"]),
    ],
)
def test_sentences_end_where_a_reader_would_say_so(language: Language, expected: list[str]) -> None:
    assert split("".join(expected), language) == expected


@given(st.text(alphabet="ab .,!?。」\"'”1。।\u0301…", max_size=3000), st.sampled_from(Language))
def test_sentences_put_together_are_the_text(text: str, language: Language) -> None:
    pieces = split(text, language)
    assert "".join(pieces) == text
    assert all(pieces)


@pytest.mark.parametrize("unit", ["word ", "x", "語", "a, ", ".", " ", "\u0301"])
def test_a_text_without_ends_is_cut_into_bounded_pieces(unit: str) -> None:
    text = unit * 5000
    pieces = split(text, ZH)
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= MAX_SENTENCE_CHARS + 1


def test_a_cut_prefers_a_clause_then_a_space_then_anywhere() -> None:
    assert cut_point("one two, three four five", 0, 24) == 8
    assert cut_point("one two three four", 0, 18) == 8
    assert cut_point("x" * 10, 0, 10) == 5
    assert cut_point("a b 1,000,000 c d", 0, 17) in (4, 14)


def test_a_cut_never_falls_into_a_protected_span() -> None:
    assert cut_point("one two three four", 0, 18, [(4, 13)]) not in range(5, 13)
    assert cut_point("onetwothree", 0, 11, [(0, 11)]) == 11


def test_a_sentence_does_not_end_inside_a_protected_span() -> None:
    text = "Say Hi. There now. Bye."
    assert [text[a:b] for a, b in sentences(text, EN, [(4, 13)])] == ["Say Hi. There now. ", "Bye."]
