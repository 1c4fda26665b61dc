import time

import pytest

from shared.languages import Language
from shared.lexicon import Entry, Lexicon, make_lexicon
from worker.plan.lexicon import WordBook
from worker.plan.markup import SpokenText, resolve
from worker.plan.planner import Planner

EN = Language.AMERICAN_ENGLISH


def spoken(text: str, language: Language = EN) -> SpokenText:
    (part,) = resolve(text, offset=100, language=language)
    assert isinstance(part, SpokenText)
    return part


def book(*entries: Entry, language: Language = EN) -> WordBook:
    return WordBook([make_lexicon(None, entries)], language)


def found(text: str, *entries: Entry, language: Language = EN) -> list[str]:
    """Return the stretches of the input that entries are applied to."""
    said = book(*entries, language=language)(spoken(text, language))
    return [text[said.starts[o.start] - 100 : said.ends[o.end - 1] - 100] for o in said.overrides]


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("Use Kubernetes, please.", "kubernetes", ["Kubernetes"]),
        (
            "Kubernetes's Kubernetes-based KUBERNETES",
            "kubernetes",
            ["Kubernetes"] * 2 + ["KUBERNETES"],
        ),
        ("kubernetesque xkubernetes kubernetes_2", "kubernetes", []),
        ("I don't know Don.", "don", ["Don"]),
        ("New  York and new\nyork", "New York", ["New  York", "new\nyork"]),
        ("C++ and C, not C+++", "C++", ["C++", "C++"]),
        ("the naïve naive", "naïve", ["naïve"]),
        ("O’Brien and O'Brien", "O'Brien", ["O’Brien", "O'Brien"]),
        ("ÉCOLE école", "École", ["ÉCOLE", "école"]),
        ("İİ café", "café", ["café"]),
    ],
)
def test_whole_words_are_found(text: str, word: str, expected: list[str]) -> None:
    assert found(text, Entry(word, "ə")) == expected


def test_scripts_without_spaces_have_words_anywhere() -> None:
    assert found("我在重庆市工作", Entry("重庆", "ə"), language=Language.MANDARIN) == ["重庆"]
    assert found("東京都に", Entry("東京", "ə"), language=Language.JAPANESE) == ["東京"]


def test_a_vowel_sign_belongs_to_its_letter() -> None:
    assert found("कि क", Entry("क", "ə"), language=Language.HINDI) == ["क"]


def test_the_longest_entry_goes_first() -> None:
    entries = [Entry("New", "a"), Entry("New York Times", "b"), Entry("New York", "c")]
    said = book(*entries)(spoken("New York Times, New York, New."))
    assert [o.phonemes for o in said.overrides] == ["b", "c", "a"]


def test_capitals_count_where_the_entry_says_so() -> None:
    entries = [Entry("polish", "a"), Entry("Polish", "b", case_sensitive=True)]
    said = book(*entries)(spoken("Polish polish POLISH"))
    assert [o.phonemes for o in said.overrides] == ["b", "a", "a"]
    assert found("it is IT", Entry("IT", "a", case_sensitive=True)) == ["IT"]


def test_the_first_lexicon_that_has_a_word_decides() -> None:
    one = make_lexicon(None, [Entry("data", "a")])
    two = make_lexicon(None, [Entry("data", "b"), Entry("beta", "c")])
    said = WordBook([one, two], EN)(spoken("data beta"))
    assert [o.phonemes for o in said.overrides] == ["a", "c"]


def test_a_lexicon_of_another_language_is_left_out() -> None:
    lexicon = Lexicon(Language.FRENCH, make_lexicon(None, [Entry("chat", "ʃa")]).entries)
    assert WordBook([lexicon], EN)(spoken("chat")).overrides == ()
    assert len(WordBook([lexicon], Language.FRENCH)(spoken("chat")).overrides) == 1


def test_what_the_author_has_marked_stays_as_marked() -> None:
    text = "[Kubernetes](/kˈubz/) and [Kubernetes](+1) and Kubernetes"
    said = book(Entry("Kubernetes", "ə"), Entry("and", "a"))(spoken(text))
    assert [o.phonemes for o in said.overrides] == ["kˈubz", "a", "", "a", "ə"]
    assert [said.text[o.start : o.end] for o in said.overrides] == [
        "Kubernetes", "and", "Kubernetes", "and", "Kubernetes",
    ]  # fmt: skip


def test_a_respelling_is_read_and_leads_back_to_the_word() -> None:
    text = "Ask the SQL server of GIF fans."
    said = book(Entry("SQL", respelling="sequel"), Entry("GIF", respelling="jif"))(spoken(text))
    assert said.text == "Ask the sequel server of jif fans."
    for word, original in (("sequel", "SQL"), ("jif", "GIF"), ("server", "server")):
        at = said.text.index(word)
        span = said.starts[at] - 100, said.ends[at + len(word) - 1] - 100
        assert text[slice(*span)] == original


def test_phonemes_and_respellings_reach_the_segments(planner: Planner) -> None:
    words = book(Entry("Kubernetes", "kjˈubz"), Entry("SQL", respelling="sequel"))
    text = "We run Kubernetes.\n\nWe ask SQL.\n\nNothing else."
    plain = planner.plan_slice(text, language=EN, offset=0, final=True).segments
    said = planner.plan_slice(
        text, language=EN, offset=0, final=True, rewrites=lambda _: [words]
    ).segments
    assert "kjˈubz" in said[0].phonemes
    assert said[1].phonemes == plain[1].phonemes.replace(
        planner.g2p(EN).pronounce("SQL").phonemes, planner.g2p(EN).pronounce("sequel").phonemes
    )
    assert said[1].text == "We ask sequel."
    # Phonemes make a segment's hash: what has none of the words is not rendered again.
    assert said[2] == plain[2]
    assert [(s.start, s.end) for s in said] == [(s.start, s.end) for s in plain]


def test_windows_give_the_same_segments_wherever_they_end(planner: Planner) -> None:
    words = book(
        Entry("Kubernetes", "kjˈubz"), Entry("e.g. this", respelling="for example. This here. Now")
    )
    text = "".join(
        f"Sentence {i} is about Kubernetes, e.g. this one. Was it? Yes. " for i in range(700)
    )

    def plan(window_chars: int) -> list[object]:
        segments: list[object] = []
        offset = 0
        while offset < len(text):
            window = text[offset : offset + window_chars]
            final = offset + len(window) == len(text)
            planned = planner.plan_slice(
                window, language=EN, offset=offset, final=final, rewrites=lambda _: [words]
            )
            assert planned.consumed > 0
            segments += planned.segments
            offset += planned.consumed
        return segments

    assert plan(8192) == plan(10**6)


def test_the_largest_lexicon_takes_its_time_over_hostile_text_and_no_more() -> None:
    # Every length that there is, all begun alike, and none of them met.
    entries = [Entry("ab " * (i % 31) + str(i), "ə") for i in range(4_950)]
    entries += [Entry("ab " * 32 + "ab"[: i % 2] + chr(0x3B1 + i), "ə") for i in range(24)]
    words = book(*entries)
    began = time.perf_counter()
    words(spoken("ab " * 20_000))
    assert time.perf_counter() - began < 5
