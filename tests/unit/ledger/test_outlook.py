"""When a job will have ended, by what was measured."""

from dataclasses import replace
from typing import Any

import pytest

from shared.formats import AudioFormat
from shared.ledger.outlook import Outlook, Places, eta_s
from shared.ledger.records import JobPace, JobRecord
from shared.ledger.states import JobStatus, Lane
from tests.unit.test_job_view import record

NOW = 1_769_860_900.0

# One device that renders 100 phonemes a second, in batches of 4 segments of 250; audio of 0.07 s a
# phoneme; a phoneme a character. FLAC is encoded at 70 audio-s/s.
OUTLOOK = Outlook(
    now=NOW,
    pace={
        "phonemes": 4000,
        "chars": 4000,
        "audio_s": 280,
        "busy_s": 40,
        "segments": 16,
        "batches": 4,
    },
    encode={"flac.cpu_s": 2, "flac.audio_s": 140, "*.s": 2, "*.jobs": 1},
    synth=1,
    assemblers=1,
    in_lane=1,
    of_owner=1,
)


def job(**changes: Any) -> JobRecord:
    spec = replace(record().spec, outputs=(AudioFormat.FLAC,))
    fields: dict[str, Any] = {
        "spec": spec,
        "status": JobStatus.PROCESSING,
        "stage": "render",
        "planned": True,
        "input_chars": 4000,
        "plan_chars": 4000,
    }
    return record(**{**fields, **changes})


def half_way(**changes: Any) -> JobPace:
    """Return the pace of a job that renders alone: 10 s a batch."""
    fields: dict[str, Any] = {
        "left": 2000,
        "to_render": 4000,
        "own": 2000,
        "even": 2000,
        "all": 2000,
        "s": 20,
        "batches": 2,
        "at": NOW,
    }
    return JobPace(**{**fields, **changes})


def test_alone_it_is_what_is_left_over_the_pace_and_then_encoding() -> None:
    eta = eta_s(job(pace=half_way(), audio_s=140), Places(), OUTLOOK, NOW)
    assert eta == pytest.approx(2000 / 100 + (140 + 140) / 70)


def test_what_is_under_way_is_not_counted_twice() -> None:
    seen = job(pace=half_way(at=NOW - 7), audio_s=140)
    assert eta_s(seen, Places(), OUTLOOK, NOW) == pytest.approx(20 - 7 + 4)


def test_a_job_that_does_not_get_on_is_said_to_take_longer_and_longer() -> None:
    stalled = [job(pace=half_way(at=NOW - late), audio_s=140) for late in (10, 40, 400)]
    etas = [eta_s(seen, Places(), OUTLOOK, NOW) or 0 for seen in stalled]
    assert etas == sorted(etas)
    assert etas[-1] > 200


def test_beside_others_it_is_by_the_part_it_had_of_late_and_no_more_than_all_work() -> None:
    ahead = {"interactive.left": 10_000}
    crowd = replace(OUTLOOK, ahead=ahead, in_lane=2, of_owner=1, owner_part=0.5)
    # Of the same as the other one had: half.
    fair = job(pace=half_way(own=1000, even=1000), audio_s=140)
    assert eta_s(fair, Places(), crowd, NOW) == pytest.approx(2000 * 2 / 100 + 4, rel=0.05)
    # The other has little left: then this one has all.
    little = replace(crowd, ahead={"interactive.left": 2500})
    assert eta_s(fair, Places(), little, NOW) == pytest.approx(2500 / 100 + 4)


def test_a_model_that_has_to_be_loaded_first_is_waited_for_by_what_is_to_be_rendered() -> None:
    cold = replace(OUTLOOK, cold_s=7.5)
    fresh = job(pace=JobPace(left=4000, to_render=4000))
    warm_s = eta_s(fresh, Places(lane=0), OUTLOOK, NOW)
    assert warm_s is not None
    assert eta_s(fresh, Places(lane=0), cold, NOW) == pytest.approx(warm_s + 7.5)
    reused = job(pace=JobPace(left=0, to_render=0))
    assert eta_s(reused, Places(), cold, NOW) == eta_s(reused, Places(), OUTLOOK, NOW)


def test_who_has_just_come_counts_at_once() -> None:
    crowd = replace(OUTLOOK, ahead={"interactive.left": 50_000}, in_lane=4, of_owner=1)
    alone_so_far = job(pace=half_way(), audio_s=140)
    eta = eta_s(alone_so_far, Places(), crowd, NOW)
    assert eta == pytest.approx(2000 * 4 / 100 + 4, rel=0.1)


def test_the_other_lane_takes_its_part_while_it_has_work() -> None:
    crowd = replace(OUTLOOK, ahead={"interactive.left": 2000, "batch.left": 50_000})
    seen = job(pace=half_way(own=1600, all=2000, even=2000), audio_s=140)
    assert eta_s(seen, Places(), crowd, NOW) == pytest.approx(2000 / 0.8 / 100 + 4, rel=0.05)
    last = replace(crowd, ahead={"interactive.left": 2000, "batch.left": 100})
    assert eta_s(seen, Places(), last, NOW) == pytest.approx(2100 / 100 + 4, rel=0.05)
    lowly = replace(seen, lane=Lane.BATCH)
    behind = replace(OUTLOOK, ahead={"interactive.left": 3000, "batch.left": 2000})
    assert eta_s(lowly, Places(), behind, NOW) == pytest.approx(5000 / 100 + 4, rel=0.05)


def queued(chars: int = 4000, **changes: Any) -> JobRecord:
    return job(
        status=JobStatus.QUEUED,
        stage="plan",
        planned=False,
        plan_chars=0,
        input_chars=chars,
        pace=JobPace(unplanned=chars),
        **changes,
    )


def test_a_text_not_planned_counts_by_the_phonemes_that_characters_have_here() -> None:
    alone = replace(
        OUTLOOK, ahead={"interactive.unplanned": 4000}, in_lane=0, of_owner=0, to_plan=1
    )
    assert eta_s(queued(), Places(plan=0), alone, NOW) == pytest.approx(40 + 4)


def test_a_sentence_waits_for_those_before_it_and_not_for_those_behind() -> None:
    # Of 1,001 sentences of one key in the batch lane it is the 251st; 250 characters each.
    many = replace(
        OUTLOOK, ahead={"batch.unplanned": 250 * 1001}, in_lane=0, of_owner=0, to_plan=1001
    )
    eta = eta_s(queued(250, lane=Lane.BATCH), Places(plan=250), many, NOW)
    assert eta == pytest.approx(251 * 250 / 100 + 0.25, rel=0.02)
    # The same once all are planned: by its place among its key's.
    planned = replace(
        many,
        ahead={"batch.left": 250 * 1001},
        in_lane=1001,
        of_owner=1001,
        to_plan=0,
        waiting_segments=1001,
        waiting_phonemes=250 * 1001,
    )
    pace = JobPace(left=250, to_render=250, at=NOW)
    waiting = job(lane=Lane.BATCH, input_chars=250, plan_chars=250, pace=pace)
    eta = eta_s(waiting, Places(lane=250), planned, NOW)
    assert eta == pytest.approx(251 * 250 / 100 + 0.25, rel=0.02)


def test_another_keys_thousand_jobs_do_not_keep_one_waiting() -> None:
    crowd = replace(
        OUTLOOK,
        ahead={"batch.left": 250 * 1000},
        in_lane=1000,
        of_owner=0,
        owner_part=0.5,
        waiting_segments=1000,
        waiting_phonemes=250 * 1000,
        to_plan=1,
    )
    eta = eta_s(queued(250, lane=Lane.BATCH), Places(plan=0), crowd, NOW)
    assert eta is not None
    assert eta < 20, "a batch or two of four"


def test_an_encoding_under_way_is_what_is_left_of_it_and_never_over_before_it_is() -> None:
    def encoding(since_s: float) -> JobRecord:
        pace = JobPace(to_render=4000, assembling_since=NOW - since_s)
        return job(stage="assemble", audio_s=280, pace=pace)

    assert eta_s(encoding(1), Places(), OUTLOOK, NOW) == pytest.approx(3)
    assert eta_s(encoding(40), Places(), OUTLOOK, NOW) == pytest.approx(4)
    waiting = job(stage="assemble", audio_s=280, pace=JobPace(to_render=4000))
    behind = replace(OUTLOOK, to_assemble=4, assemblers=2)
    assert eta_s(waiting, Places(), behind, NOW) == pytest.approx(4 + 3 * 2 / 2)


def test_how_far_an_encoding_is_counts_more_than_how_fast_others_went() -> None:
    def encoding(part: float, at_s: float) -> float:
        pace = JobPace(to_render=4000, assembling_since=NOW, encoded=part, encoded_at=NOW + at_s)
        seen = job(stage="assemble", audio_s=280, pace=pace)
        eta = eta_s(seen, Places(), OUTLOOK, NOW + at_s)
        assert eta is not None
        return eta

    # 4 s were expected; it is three times as slow.
    assert encoding(0.5, 6) == pytest.approx(6, rel=0.35)
    assert encoding(0.9, 10.8) == pytest.approx(1.2, rel=0.25)
    assert encoding(0.25, 1) == pytest.approx(3), "as expected"


def test_what_keeps_coming_into_the_other_lane_is_in_the_way_of_a_batch_job() -> None:
    seen = job(lane=Lane.BATCH, pace=half_way(own=1000, even=2000, all=2000), audio_s=140)
    behind = replace(OUTLOOK, ahead={"batch.left": 2000})
    alone = eta_s(seen, Places(), behind, NOW)
    assert alone == pytest.approx(20 + 4)
    # Half of what the device does comes again and again, though nothing is there just now.
    steady = replace(behind, came={"interactive": [500, 520, 0, *[500] * 9]})
    assert eta_s(seen, Places(), steady, NOW) == pytest.approx(20 * 2 + 4)
    flood = replace(behind, came={"interactive": [9000] * 12})
    assert eta_s(seen, Places(), flood, NOW) == pytest.approx(20 / 0.2 + 4), "its part is kept"
    books = replace(behind, came={"interactive": [0, *[3000] * 10, 0]})
    assert eta_s(seen, Places(), books, NOW) == pytest.approx(alone), "books come now and then"


def test_audio_that_existed_and_pauses_do_not_make_what_is_left_longer() -> None:
    pace = half_way(rendered=2000, rendered_s=140)
    seen = job(pace=pace, audio_s=140 + 2000)
    assert eta_s(seen, Places(), OUTLOOK, NOW) == pytest.approx(20 + (2140 + 140) / 70)


def test_a_job_that_waits_for_its_turn_while_others_get_on_is_not_late() -> None:
    seen = job(lane=Lane.BATCH, pace=half_way(at=NOW - 40, total=10_000), audio_s=140)
    ahead = {"interactive.left": 1000, "batch.left": 2000}
    getting_on = replace(
        OUTLOOK,
        ahead=ahead,
        pace={**OUTLOOK.pace, "at_ms": NOW * 1000},
        rendered=10_000 + 40 * 100,
    )
    assert eta_s(seen, Places(), getting_on, NOW) == pytest.approx(30 + 4)


def test_what_was_rendered_since_the_outlook_is_not_taken_for_others_work() -> None:
    # A batch of 1,000 phonemes of this job alone was done since.
    pace = half_way(total=11_000)
    stale = replace(OUTLOOK, ahead={"interactive.left": 3000}, rendered=10_000)
    assert eta_s(job(pace=pace, audio_s=140), Places(), stale, NOW) == pytest.approx(20 + 4)


@pytest.mark.parametrize(
    "unknown",
    [
        {"pace": {}},
        {"encode": {}},
        {"synth": 0},
    ],
)
def test_what_was_never_measured_is_not_made_up(unknown: dict[str, Any]) -> None:
    outlook = replace(OUTLOOK, **unknown)
    assert eta_s(queued(), Places(plan=0), outlook, NOW) is None
    assert eta_s(job(pace=half_way(), audio_s=140), Places(), outlook, NOW) is None


def test_what_has_ended_has_no_end_ahead() -> None:
    assert eta_s(job(status=JobStatus.SUCCEEDED, stage=""), Places(), OUTLOOK, NOW) is None


def test_a_job_of_an_older_release_is_seen_without_its_pace() -> None:
    old = job(pace=JobPace(), planned=False, plan_chars=1000, stage="plan", audio_s=70)
    eta = eta_s(old, Places(), OUTLOOK, NOW)
    assert eta is not None
    assert eta >= 0


def test_the_ledgers_answer_is_read_with_its_empty_tables() -> None:
    text = (
        '{"now_ms":1000,"pace":{"":0},"ahead":{"":0},"encode":{"":0},"synth":1,"assemblers":2,'
        '"in_lane":0,"of_owner":0,"owner_part":1,"to_plan":0,"to_assemble":0,'
        '"waiting_segments":0,"waiting_phonemes":0,'
        '"came":{"interactive":[0,0],"batch":[0,0]},"rendered":0}'
    )
    outlook = Outlook.from_json(text)
    assert (outlook.now, outlook.synth, outlook.assemblers) == (1, 1, 2)
    assert outlook.phonemes_per_s is None
