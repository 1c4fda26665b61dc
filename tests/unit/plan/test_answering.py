"""What a plan worker answers to questions."""

from collections.abc import Sequence
from typing import Any

import pytest

from shared.errors import InvalidMarkup
from shared.languages import Language
from shared.ledger.asks import Ask, AskKind
from worker.answering import answer as answered
from worker.engines.facts import model_config
from worker.plan.normalize import Normalizer
from worker.plan.planner import Planner
from worker.plan.rewriting import Rewrite


def rewrites(lexicons: Sequence[str], normalize: bool, language: Language) -> list[Rewrite]:
    assert not lexicons
    return [Normalizer(language)] if normalize else []


def answer(planner: Planner, question: Ask) -> dict[str, Any]:
    return answered(planner, question, rewrites)


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


def test_each_voice_counts_by_itself_also_one_that_speaks_since_before_a_stretch(
    planner: Planner,
) -> None:
    texts = ["One two.[voice:am_adam]Three.", "Four five six."]
    said = answer(planner, ask(AskKind.ESTIMATE, texts=texts, voices=["", "bf_emma"]))
    assert set(said["spoken"]) == {"", "am_adam", "bf_emma"}
    assert sum(said["spoken"].values()) == said["phonemes"]


def test_a_text_counts_as_it_would_be_read(planner: Planner) -> None:
    def phonemes(**changes: object) -> int:
        said = answer(planner, ask(AskKind.ESTIMATE, texts=["At 3:30 on 1/2/2024."], **changes))
        return int(said["phonemes"])

    assert phonemes() == phonemes(normalize=True) != phonemes(normalize=False)


def test_chapters_begin_with_silence_and_voices_bring_their_language(planner: Planner) -> None:
    text = "[chapter:One]Hello.\n\n[chapter:Two][voice:if_sara]Ciao amico."
    said = answer(
        planner, ask(AskKind.ESTIMATE, texts=[text], follow_voice=True, chapter_pause_s=0.5)
    )
    assert (said["segments"], said["pauses"], said["pause_s"]) == (4, 2, 1)
    italian = answer(planner, ask(AskKind.ESTIMATE, texts=["Ciao amico."], language="it"))
    assert said["spoken"]["if_sara"] == italian["phonemes"]


def test_what_can_not_be_spoken_is_warned_of(planner: Planner) -> None:
    said = answer(planner, ask(AskKind.ESTIMATE, texts=["你好"]))
    assert said["segments"] == 0
    assert said["warnings"] == [{"code": "unspeakable_text", "detail": "你好"}]


def test_a_malformed_mark_has_no_answer(planner: Planner) -> None:
    with pytest.raises(InvalidMarkup):
        answer(planner, ask(AskKind.PHONEMIZE, text="[pause:never] Hello."))
