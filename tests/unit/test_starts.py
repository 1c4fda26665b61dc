"""When a worker whose children finish nothing ends, and when that is a segment's fault."""

from worker.starts import FruitlessEnd, Starts


def ends(starts: Starts, *held: set[str] | None) -> list[bool]:
    """End one child after another that held these; return after which the worker ends."""
    return [
        starts.bore_none(
            FruitlessEnd("rendering: lost", None if names is None else frozenset(names))
        )
        is not None
        for names in held
    ]


def test_three_starts_without_a_finished_segment_are_enough() -> None:
    assert ends(Starts(), {"a|0", "b|0"}, {"a|0"}, {"b|0"}) == [False, False, True]


def test_three_children_that_cannot_load_are_enough() -> None:
    assert ends(Starts(), set(), set(), set()) == [False, False, True]


def test_the_reason_names_what_each_of_them_died_of() -> None:
    starts = Starts()
    for reason in ("loading: no memory", "rendering: ECC error"):
        assert starts.bore_none(FruitlessEnd(reason, frozenset())) is None
    why = starts.bore_none(FruitlessEnd("rendering: killed at its deadline", frozenset()))
    assert why is not None
    for part in ("3 child starts", "no memory", "ECC error", "killed at its deadline"):
        assert part in why


def test_a_finished_segment_begins_the_count_anew() -> None:
    starts = Starts()
    assert ends(starts, {"a|0"}, {"b|0"}) == [False, False]
    starts.bore_fruit()
    assert ends(starts, {"a|0"}, {"c|0"}) == [False, False]
    assert ends(starts, {"d|0"}) == [True]


def test_one_segment_that_kills_its_child_again_and_again_is_to_blame_itself() -> None:
    starts = Starts()
    assert not any(ends(starts, {"bad|3", "b|0"}, *[{"bad|3"}] * 8))
    assert ends(starts, set(), set(), set()) == [False, False, True], "it is not forgiven the next"


def test_a_device_that_is_given_one_segment_at_a_time_fails_only_the_first() -> None:
    assert ends(Starts(), *[{"a|0"}] * 3, *[{"b|0"}] * 3) == [False] * 5 + [True]


def test_what_a_child_held_when_that_is_not_known_may_be_the_same_segment() -> None:
    assert ends(Starts(), {"a|0"}, None, {"a|0"}) == [False] * 3
    assert ends(Starts(), None, None, None) == [False, False, True]
