"""After how many tasks a worker's child is replaced."""

from shared.bell import Stage
from shared.settings import Settings
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
