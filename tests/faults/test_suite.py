"""The quick part of the fault suite, and that the whole of it is whole."""

from pathlib import Path

import pytest

from shared.steps import Step
from tests.faults.all_rows import ROWS
from tests.faults.rows_steps import CASES
from tests.faults.run import try_row

QUICK = [number for number, row in sorted(ROWS.items()) if row.quick]


def test_there_are_twenty_rows() -> None:
    assert sorted(ROWS) == list(range(1, 21))


def test_every_step_has_a_case() -> None:
    assert set(CASES) == set(Step)


@pytest.mark.slow
@pytest.mark.timeout(900)  # it may wait for its turn
@pytest.mark.usefixtures("one_at_a_time")
@pytest.mark.parametrize("number", QUICK)
def test_row(number: int, tmp_path: Path) -> None:
    result = try_row(number, tmp_path, seed=number, quick=True)
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.tried > 0
    assert result.broken == []
