"""When a worker's child is replaced."""

import pytest

from shared.bell import Stage
from shared.ledger.states import Recycled
from shared.settings import Settings
from worker.recycling import MIB, SETTLED_AFTER, Wear
from worker.run import WITHOUT_DEVICE, recycle_after


def test_a_synth_workers_child_is_replaced_after_its_tasks_less_a_share_at_random() -> None:
    settings = Settings(recycle_after_jobs=100, recycle_jitter=0.2)
    drawn = {recycle_after(Stage.SYNTH, settings) for _ in range(500)}
    assert len(drawn) > 10
    assert all(count is not None and 80 <= count <= 100 for count in drawn)


def test_those_without_a_device_live_longer_and_threads_are_not_replaced() -> None:
    settings = Settings(recycle_after_jobs=100, recycle_jitter=0)
    assert recycle_after(Stage.SYNTH, settings) == 100
    for stage in (Stage.PLAN, Stage.ASSEMBLE):
        assert recycle_after(stage, settings) == 100 * WITHOUT_DEVICE
    assert recycle_after(Stage.DELIVER, settings) is None


class Child:
    """A child whose memory and clock a test sets."""

    def __init__(self, *, unloads: bool = True, **settings: float) -> None:
        self.resident_mib = 100
        self.device_mib: int | None = 1000
        self.now_s = 0.0
        self.wear = Wear(
            Settings.model_validate(settings),
            resident=lambda: self.resident_mib * MIB,
            device=lambda: None if self.device_mib is None else (self.device_mib * MIB, 2**40),
            unloads=unloads,
            clock=lambda: self.now_s,
        )

    def settle(self) -> None:
        """Do the tasks in which a child comes to hold what it needs."""
        assert [self.wear.after_task() for _ in range(SETTLED_AFTER)] == [None] * SETTLED_AFTER


def test_a_child_above_its_bound_of_host_memory_ends_after_its_task() -> None:
    child = Child(recycle_rss_mib=200)
    child.settle()
    child.resident_mib = 200
    assert child.wear.after_task() is None
    child.resident_mib = 201
    assert child.wear.after_task() is Recycled.HOST_MEMORY


def test_a_bound_below_what_a_child_needs_does_not_replace_it_after_every_task() -> None:
    child = Child(recycle_rss_mib=50)
    child.settle()
    child.resident_mib = 125
    assert child.wear.after_task() is None
    child.resident_mib = 126
    assert child.wear.after_task() is Recycled.HOST_MEMORY


def test_device_memory_may_grow_by_its_bound_over_what_the_first_tasks_took() -> None:
    child = Child(recycle_gpu_growth_mib=500)
    child.device_mib = 3000
    child.settle()
    child.device_mib = 3500
    assert child.wear.after_task() is None
    child.device_mib = 3501
    assert child.wear.after_task() is Recycled.DEVICE_MEMORY


@pytest.mark.parametrize("device_mib", [None, 10**6])
def test_without_a_bound_or_a_device_no_growth_is_too_much(device_mib: int | None) -> None:
    child = Child(recycle_rss_mib=0, recycle_gpu_growth_mib=0 if device_mib else 1)
    child.settle()
    child.resident_mib, child.device_mib = 10**6, device_mib
    assert child.wear.after_task() is None


def test_a_child_without_a_task_for_long_ends_and_each_task_begins_that_time_anew() -> None:
    child = Child(idle_unload_s=60)
    child.now_s = 59
    assert child.wear.while_idle() is None
    child.wear.after_task()
    child.now_s = 118
    assert child.wear.while_idle() is None
    child.now_s = 119
    assert child.wear.while_idle() is Recycled.IDLE


@pytest.mark.parametrize(("idle_unload_s", "unloads"), [(0, True), (60, False)])
def test_a_child_that_is_not_to_unload_waits_for_ever(idle_unload_s: float, unloads: bool) -> None:
    child = Child(idle_unload_s=idle_unload_s, unloads=unloads)
    child.now_s = 1e9
    assert child.wear.while_idle() is None
