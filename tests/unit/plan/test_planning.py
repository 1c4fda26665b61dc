"""What determines a segment's audio, and so its hash."""

from dataclasses import replace

import pytest

from shared.errors import UnknownVoice
from shared.formats import AudioFormat
from shared.languages import Language
from shared.ledger.messages import PlanClaim, PlanState
from shared.ledger.records import JobSpec
from shared.manifest import EngineStamp
from worker.planning import segment_hash

SPEC = JobSpec("af_heart", Language.AMERICAN_ENGLISH, 1.0, (AudioFormat.MP3,), "kokoro")
STAMP = EngineStamp("f" * 64, "0" * 64, False)


def claim(engine: EngineStamp = STAMP, spec: JobSpec = SPEC) -> PlanClaim:
    return PlanClaim("job_1", "1", b"", 0, 0, spec, "local", engine, "job_1", 0, False)


def test_a_segment_hashes_as_it_did_before_there_were_marks() -> None:
    # Made by the release before: what is stored under it must be found again.
    assert segment_hash(claim(), "həlˈO", "Hello") == (
        "9e6df2a55480b4703f575611d09809f966b4f589808f17c831f5c90f540e6290"
    )


def test_a_segment_is_hashed_by_its_own_voice_only() -> None:
    plain = segment_hash(claim(), "a", "a")
    many = claim(replace(STAMP, voices={"am_adam": "1" * 64, "af_sky": "2" * 64}))
    assert segment_hash(many, "a", "a") == plain
    adam = segment_hash(many, "a", "a", voice="am_adam")
    assert adam != plain
    assert adam != segment_hash(many, "a", "a", voice="af_sky")
    # As in a job of that voice, whatever voices else are in it.
    assert adam == segment_hash(claim(replace(STAMP, voice="1" * 64)), "a", "a")


def test_a_segments_language_counts_where_the_engine_reads_text() -> None:
    for engine, counts in ((STAMP, False), (replace(STAMP, uses_text=True), True)):
        one = segment_hash(claim(engine), "a", "a")
        assert (segment_hash(claim(engine), "a", "a", language=Language.FRENCH) != one) is counts


def test_a_voice_that_no_mark_had_when_it_was_checked_is_an_error() -> None:
    with pytest.raises(UnknownVoice, match="am_adam"):
        segment_hash(claim(), "a", "a", voice="am_adam")


def test_a_stamp_and_a_spec_without_marks_are_written_as_they_were() -> None:
    assert "voices" not in STAMP.to_json()
    assert EngineStamp.from_json(STAMP.to_json()) == STAMP
    several = replace(STAMP, voices={"am_adam": "1" * 64})
    assert EngineStamp.from_json(several.to_json()) == several
    assert set(JobSpec.from_json(SPEC.to_json()).to_json()) == set(SPEC.to_json())
    assert "follow_voice" not in SPEC.to_json()
    following = replace(SPEC, follow_voice=True, chapter_pause_s=1.0)
    assert JobSpec.from_json(following.to_json()) == following


def test_a_plans_state_is_read_as_written() -> None:
    state = PlanState("af_bella(2)+af_sky", (Language.FRENCH, Language.HINDI))
    assert PlanState.from_json(state.to_json()) == state
    assert PlanState.from_json("") == PlanState()
    assert PlanState().to_json() == ""
