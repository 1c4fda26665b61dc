"""Changing weights while jobs come: workers of both beside each other, and nobody waits."""

import pytest

from shared.formats import AudioFormat
from shared.ledger.scripts import text
from shared.ledger.states import JobStatus
from shared.manifest import EngineManifest
from tests.integration.workers.conftest import Cluster
from tests.integration.workers.test_sick_devices import paragraphs
from tests.integration.workers.test_way import wav_spec

WAV = wav_spec(outputs=(AudioFormat.WAV,))


def fingerprint(cluster: Cluster) -> str:
    """Return that of the engine which new jobs are accepted for."""
    return EngineManifest.from_json(text(cluster.client.get("kc:engine"))).fingerprint


def start(cluster: Cluster, name: str, weights: int, **settings: object) -> str:
    """Start a synth worker with some weights; return what new jobs are then accepted for."""
    cluster.start("synth", name, model=f"scripted:sleep_s=0.2,weights={weights}", **settings)
    cluster.child(f"synth.{name}")
    return fingerprint(cluster)


def test_jobs_go_on_while_workers_change_their_weights_and_each_is_done_once(
    cluster: Cluster,
) -> None:
    old = start(cluster, "before", 1, batch_max=1)
    book = cluster.submit(paragraphs(20), spec=WAV)
    cluster.wait(lambda: cluster.ledger.job(book).segments_done > 2)
    new = start(cluster, "after", 2, batch_max=1)
    assert new != old, "the one started last"
    meanwhile = cluster.submit("Accepted for the new.", spec=WAV)
    before = next(m for m in cluster.group.members if m.name == "synth.before")
    before.process.terminate()  # type: ignore[union-attr]
    for uid in (book, meanwhile):
        job = cluster.finished(uid)
        assert (job.status, job.attempts) == (JobStatus.SUCCEEDED, 1)
    assert cluster.ledger.job(book).segments_done == 20
    # What the new rendered of a job accepted for the old is of use to nobody else.
    again = cluster.finished(cluster.submit(paragraphs(20), spec=WAV))
    assert again.segments_reused == 0
    assert cluster.finished(cluster.submit(paragraphs(20), spec=WAV)).segments_reused == 20


@pytest.mark.parametrize("settings", [{"recycle_after_jobs": 1, "recycle_jitter": 0}])
def test_a_replaced_child_of_an_old_worker_takes_nothing_back(
    cluster: Cluster, settings: dict[str, int]
) -> None:
    start(cluster, "old", 1, **settings)
    new = start(cluster, "new", 2)
    for n in range(4):
        cluster.finished(cluster.submit(f"Text number {n}."))
    cluster.wait(lambda: float(cluster.client.hget("kc:totals", "recycled.planned") or 0) >= 1)
    cluster.child("synth.old")
    assert fingerprint(cluster) == new
