"""Rows have bounds in seconds: of those that run beside other tests, one at a time does."""

import fcntl
from collections.abc import Iterator

import pytest


@pytest.fixture
def one_at_a_time(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Wait until no other process of this test run has it."""
    # Beside the folder of each of xdist's processes is that of the run.
    with (tmp_path_factory.getbasetemp().parent / "faults.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
