"""Kokoro's own architecture, with synthetic weights, through real workers."""

from pathlib import Path

import pytest

from shared.ledger.states import JobStatus
from tests.integration.workers.conftest import Cluster
from worker.engines.checkpoint import write_checkpoint


def loaded_torch(pid: int) -> bool:
    """Return whether a process has mapped torch's library."""
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.slow
def test_the_model_speaks_and_only_the_child_that_renders_loads_torch(
    cluster: Cluster, base: Cluster, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path / "tiny", size="tiny")
    worker = cluster.start("synth", engine="kokoro", model=str(tmp_path / "tiny"))
    job = cluster.finished(cluster.submit("Two words."), 90)
    assert job.status is JobStatus.SUCCEEDED, job.error_message
    assert job.model == "synthetic-tiny"
    assert job.stand_in is False
    assert job.precision == "exact"
    assert worker.process is not None
    assert loaded_torch(cluster.child("synth.0"))
    assert not loaded_torch(worker.process.pid), "the parent must not touch torch or CUDA"
    for stage in ("plan.0", "assemble.0"):
        assert not loaded_torch(base.child(stage))
