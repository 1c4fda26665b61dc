from worker.plan.markup import Silence
from worker.plan.packing import SHORT_PHONEMES, TARGET_PHONEMES, Packer, Sentence
from worker.plan.segment import PlannedSegment, SegmentKind


def sentence(start: int, length: int, *unknown: str) -> Sentence:
    return Sentence(start, start + length, f"t{start}", "a" * length, unknown)


def pack(*items: Sentence | Silence) -> list[PlannedSegment]:
    packer = Packer(" ")
    return [segment for item in items for segment in packer.add(item)] + list(packer.close())


def test_sentences_share_a_segment_up_to_the_target() -> None:
    segments = pack(sentence(0, 100), sentence(100, 100), sentence(200, 100))
    assert [(s.start, s.end) for s in segments] == [(0, 200), (200, 300)]
    assert segments[0].text == "t0 t100"
    assert segments[0].phonemes == "a" * 100 + " " + "a" * 100


def test_a_long_sentence_stands_alone() -> None:
    assert [len(s.phonemes) for s in pack(sentence(0, 200), sentence(200, 510))] == [200, 510]


def test_a_short_sentence_joins_its_neighbour_past_the_target() -> None:
    short = SHORT_PHONEMES - 10
    assert len(pack(sentence(0, TARGET_PHONEMES), sentence(300, short))) == 1
    assert len(pack(sentence(0, short), sentence(300, TARGET_PHONEMES))) == 1


def test_a_pause_ends_a_segment() -> None:
    segments = pack(sentence(0, 10), Silence(10, 22, 1.5), sentence(22, 10))
    assert [s.kind for s in segments] == [SegmentKind.SPEECH, SegmentKind.PAUSE, SegmentKind.SPEECH]
    assert (segments[1].start, segments[1].end, segments[1].pause_s) == (10, 22, 1.5)
    assert segments[1].text == segments[1].phonemes == ""


def test_an_unknown_word_is_warned_about_once_a_segment() -> None:
    (segment,) = pack(sentence(0, 10, "мир"), sentence(10, 10, "мир", "да"))
    assert [(w.code, w.detail) for w in segment.warnings] == [
        ("oov_word", "мир"),
        ("oov_word", "да"),
    ]


def test_the_unfinished_segment_says_where_it_begins() -> None:
    packer = Packer("")
    assert packer.held_start is None
    assert list(packer.add(sentence(7, 10))) == []
    assert packer.held_start == 7
    assert len(list(packer.close())) == 1
    assert packer.held_start is None
