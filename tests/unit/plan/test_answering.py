"""What a plan worker answers to questions."""

import pytest

from shared.errors import InvalidMarkup
from shared.ledger.asks import Ask, AskKind
from worker.answering import answer
from worker.engines.facts import model_config
from worker.plan.planner import Planner


def ask(kind: AskKind, **body: object) -> Ask:
    return Ask("ask_1", kind, {"language": "en-us", **body})


def test_a_text_is_answered_with_the_phonemes_and_numbers_that_the_model_would_get(
    planner: Planner,
) -> None:
    said = answer(
        planner, ask(AskKind.PHONEMIZE, text="Hello there.\n\n[Kokoro](/kˈOkəɹO/) it is.")
    )
    assert said["phonemes"] == "həlˈO ðˈɛɹ. kˈOkəɹO ɪt ɪz."
    vocab = model_config()["vocab"]
    assert said["tokens"] == [vocab[symbol] for symbol in said["phonemes"]]
    assert [part["text"] for part in said["segments"]] == ["Hello there.", "Kokoro it is."]
    assert said["oov"] == said["warnings"] == []


def test_words_in_no_dictionary_are_named_once_with_how_they_are_said(planner: Planner) -> None:
    text = "The blorfing blorfing Nakamura's 你好 well-known zyxwv-gadget said e-mail for $3.50."
    said = answer(planner, ask(AskKind.ESTIMATE, texts=[text, "More blorfing."]))
    oov = {row["word"]: row["phonemes"] for row in said["oov"]}
    assert set(oov) == {"blorfing", "Nakamura's", "zyxwv-gadget", "你好"}
    assert oov["blorfing"] == "blˈɔɹfɪŋ"
    assert oov["你好"] is None, "it has no sound"


def test_an_estimate_counts_what_planning_comes_to(planner: Planner) -> None:
    said = answer(
        planner, ask(AskKind.ESTIMATE, texts=["One.\n\nTwo.[pause:1.5s]", "[pause:500ms]Three."])
    )
    assert (said["segments"], said["pause_s"]) == (5, 2)
    spoken = answer(planner, ask(AskKind.PHONEMIZE, text="One.\n\nTwo.\n\nThree."))
    assert said["phonemes"] == sum(len(part["phonemes"]) for part in spoken["segments"])


def test_what_can_not_be_spoken_is_warned_of(planner: Planner) -> None:
    said = answer(planner, ask(AskKind.ESTIMATE, texts=["你好"]))
    assert said["segments"] == 0
    assert said["warnings"] == [{"code": "unspeakable_text", "detail": "你好"}]


def test_a_malformed_mark_has_no_answer(planner: Planner) -> None:
    with pytest.raises(InvalidMarkup):
        answer(planner, ask(AskKind.PHONEMIZE, text="[pause:never] Hello."))
