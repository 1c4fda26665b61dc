"""Questions to real plan workers."""

import asyncio
from typing import Any

import pytest

from shared.errors import PlannersSilent
from shared.ledger.asks import Answers, Asks
from shared.ledger.states import JobStatus
from tests.integration.ledger.test_asks import run
from tests.integration.workers.conftest import Cluster
from worker.note import read_notes

HEAVY = "Some words that have to be said somehow, in order. " * 380


def test_planners_answer_while_they_plan(cluster: Cluster) -> None:
    cluster.start("synth")
    book = cluster.submit("\n\n".join(f"Paragraph {n} of many says so." for n in range(20_000)))

    async def several(asks: Asks) -> list[dict[str, Any]]:
        body = {"text": "Hello there.", "language": "en-us"}
        return await asyncio.gather(*(asks.ask("phonemize", body, 60) for _ in range(10)))

    answers = run(cluster.ledger, several)
    assert [answer["phonemes"] for answer in answers] == ["həlˈO ðˈɛɹ."] * 10
    assert cluster.ledger.job(book).status in {JobStatus.QUEUED, JobStatus.PROCESSING}
    cluster.client.flushdb()


def test_a_question_that_ends_a_planner_is_asked_no_second_time_and_harms_no_job(
    cluster: Cluster,
) -> None:
    cluster.start("synth")
    cluster.engine()

    def answering() -> int | None:
        for _, child in read_notes(cluster.settings.run_dir / "plan.0"):
            if child.phase == "answering" and child.deadline is not None:
                return child.pid
        return None

    async def poisonous(asks: Asks) -> str:
        body = {"texts": [HEAVY] * 5, "language": "en-us"}
        asked = asyncio.create_task(asks.ask("estimate", body, 8))
        job = ""
        for _ in range(5000):
            await asyncio.sleep(0.002)
            pid = answering()
            if pid is not None:
                job = await asyncio.to_thread(cluster.submit, "Innocent.")
                cluster.kill(pid)
                break
        with pytest.raises(PlannersSilent):
            await asked
        answer = await asks.ask("phonemize", {"text": "Hello.", "language": "en-us"}, 60)
        assert answer["phonemes"] == "həlˈO."
        return job

    uid = run(cluster.ledger, poisonous)
    assert uid, "the question was answered before its planner could be ended"
    assert Answers(cluster.client).take() is None
    assert cluster.finished(uid).status is JobStatus.SUCCEEDED
