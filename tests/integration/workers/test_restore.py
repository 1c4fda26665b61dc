"""A cluster that lost its Redis goes on from a copy: nothing of it lost, nothing done twice."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from shared.formats import AudioFormat
from shared.ledger.states import JobStatus
from tests.integration.workers.conftest import ROOT, Cluster
from tests.integration.workers.test_way import wav_spec

WAV = wav_spec(outputs=(AudioFormat.WAV,))


def command(cluster: Cluster, name: str, path: Path) -> dict[str, Any]:
    """Run a command on a cluster's ledger; return what it wrote as JSON."""
    run = subprocess.run(
        [sys.executable, "-m", "deploy.cli", name, str(path), "--json"],
        env={"PYTHONPATH": str(ROOT), "KC_REDIS_URL": cluster.server.url},
        cwd=cluster.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_queued_and_half_done_jobs_are_finished_by_workers_on_a_restored_ledger(
    cluster: Cluster, whole: Cluster, tmp_path: Path
) -> None:
    synth = cluster.start("synth", "first", model="scripted:sleep_s=0.3", batch_max=1)
    done = cluster.finished(cluster.submit("Done before.", spec=WAV))
    paragraphs = "\n\n".join(f"Paragraph number {n} of a longer text." for n in range(8))
    half = cluster.submit(paragraphs, spec=WAV)
    cluster.wait(lambda: cluster.ledger.job(half).segments_done >= 2)
    queued = [cluster.submit(f"Queued text number {n}.", spec=WAV) for n in range(3)]
    path = tmp_path / "ledger.gz"
    copied = command(cluster, "backup", path)  # while it works
    assert copied["jobs"] == 5
    assert synth.process is not None
    cluster.kill(synth.process.pid)
    tokens_so_far = int(cluster.client.get("kc:token") or 0)
    for key in cluster.client.keys("kc:*"):  # not Celery's bindings, which other tests need
        cluster.client.delete(key)

    assert command(whole, "restore", path)["keys"] == copied["keys"]
    before = whole.ledger.job(half).segments_done
    assert before >= 2
    where = {"storage_url": cluster.settings.storage}
    for stage in ("plan", "assemble", "reconciler", "synth"):
        whole.start(stage, "restored", **where)
    for uid in (half, *queued):
        job = whole.finished(uid)
        assert job.status is JobStatus.SUCCEEDED
        assert job.attempts == 1, "being cut off by the loss counts for nothing"
    assert whole.ledger.job(done.uid).outputs == done.outputs
    for uid in (done.uid, half, *queued):
        (output,) = whole.ledger.job(uid).outputs
        assert len(cluster.storage.get(output.key)) == output.bytes
    rendered = float(whole.client.hget("kc:totals", "segments_rendered") or 0)
    assert rendered == 1 + 8 + 3, "each once, those before the copy among them"
    assert int(whole.client.get("kc:token") or 0) > tokens_so_far
