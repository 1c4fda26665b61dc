"""Deadlines that a child keeps in mapped memory, as its parent reads them."""

import time
from pathlib import Path

from worker.note import Note, read_notes


def deadline(folder: Path) -> float | None:
    ((_, child),) = read_notes(folder)
    return child.deadline


def test_a_deadline_is_on_file_as_soon_as_the_work_begins_and_gone_when_it_ends(
    tmp_path: Path,
) -> None:
    note = Note(tmp_path, "synth.0/1")
    for within_s in (100.0, 5.0):
        note.begin("rendering", within_s=within_s)
        found = deadline(tmp_path)
        assert found is not None
        assert 0 < found - time.monotonic() <= within_s
        note.done()
        assert deadline(tmp_path) is None


def test_the_first_of_several_deadlines_counts(tmp_path: Path) -> None:
    note = Note(tmp_path, "synth.0/1")
    note.begin("rendering", within_s=100)
    alone = deadline(tmp_path)
    with note.beside("storing", within_s=1), note.beside("storing", within_s=50):
        found = deadline(tmp_path)
        assert found is not None
        assert found < time.monotonic() + 2
    assert deadline(tmp_path) == alone
    note.write("idle")
    assert deadline(tmp_path) is None


def test_what_cannot_be_mapped_stops_no_work(tmp_path: Path) -> None:
    note = Note(tmp_path, "synth.0/1")
    note.write("idle")
    (tmp_path / f"{note.scratch.name}.due").mkdir()
    note.begin("rendering", within_s=1)
    note.done()


def test_what_was_finished_is_on_file_at_once_and_is_no_deadline(tmp_path: Path) -> None:
    note = Note(tmp_path, "synth.0/1")
    note.write("idle")
    ((_, child),) = read_notes(tmp_path)
    assert child.fruitless
    note.begin("rendering", within_s=100)
    ((_, child),) = read_notes(tmp_path)
    assert child.fruitless
    note.count_finished(3)
    note.count_finished(2)
    note.done()
    ((_, child),) = read_notes(tmp_path)
    assert (child.finished, child.fruitless, child.deadline) == (5, False, None)
    assert child.phase == "idle"


def test_a_child_that_could_not_map_its_row_is_not_called_fruitless(tmp_path: Path) -> None:
    note = Note(tmp_path, "synth.0/1")
    note.write("idle")
    (tmp_path / f"{note.scratch.name}.due").mkdir()
    note.begin("rendering", within_s=1)
    ((_, child),) = read_notes(tmp_path)
    assert (child.phase, child.finished, child.fruitless) == ("rendering", None, False)


def test_a_child_says_whether_it_ends_in_its_time_or_of_its_device(tmp_path: Path) -> None:
    note = Note(tmp_path, "synth.0/1")
    note.begin("rendering", within_s=100)
    note.end(lost="an illegal address")
    ((_, child),) = read_notes(tmp_path)
    assert (child.lost, child.replaced, child.phase) == ("an illegal address", False, "rendering")
    note.done()
    note.end()
    ((_, child),) = read_notes(tmp_path)
    assert (child.lost, child.replaced, child.phase) == (None, True, "idle")
