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
