"""Stdout for what was asked for, stderr for the rest; colours and widths only for terminals."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

STATUS_STYLES = {
    "succeeded": "green",
    "failed": "red",
    "expired": "red",
    "canceled": "yellow",
    "processing": "cyan",
}


def note(text: str) -> None:
    """Write a line to stderr."""
    print(text, file=sys.stderr, flush=True)


def write_json(data: Any, file: TextIO | None = None) -> None:
    """Write one JSON document on one line."""
    print(json.dumps(data, ensure_ascii=False), file=file or sys.stdout, flush=True)


def raw_list(items: Iterable[Any]) -> dict[str, Any]:
    """Return answers as the API lists them."""
    return {"object": "list", "data": [dict(item.raw) for item in items]}


def write_table(heads: Sequence[str], rows: Iterable[Sequence[str]], none: str) -> None:
    """Write rows under heads, or say on stderr that there are none.

    On a narrow terminal only the last column is cut.
    """
    found = list(rows)
    if not found:
        note(none)
        return
    if not sys.stdout.isatty():
        _write_plain([tuple(heads), *found])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, head in enumerate(heads):
        table.add_column(head, no_wrap=True, overflow="ellipsis")
        if number < len(heads) - 1:
            table.columns[number].min_width = max(len(head), *(len(row[number]) for row in found))
    for row in found:
        table.add_row(*(_styled(cell) for cell in row))
    _console().print(table)


def write_fields(fields: Mapping[str, str | None]) -> None:
    """Write a name and a value a line; what is None is left out."""
    if not sys.stdout.isatty():
        _write_plain([(name, value) for name, value in fields.items() if value is not None])
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        if value is not None:
            table.add_row(name, _styled(value))
    _console().print(table)


def _write_plain(rows: Sequence[Sequence[str]]) -> None:
    """Write columns for a file or a pipe: nothing is cut, and no line ends with blanks."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        )
        print("  ".join(cells).rstrip())


def _console() -> Console:
    return Console(highlight=False, soft_wrap=False)


def _styled(cell: str) -> str:
    style = STATUS_STYLES.get(cell)
    return f"[{style}]{cell}[/]" if style else escape(cell)


def duration(seconds: float | None) -> str:
    """Write a length of time for people: `0.4 s`, `75 s`, `12 min`, `3 h 05 min`."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def clock(seconds: float) -> str:
    """Write a place in audio: `1:05`, `1:01:40`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: int) -> str:
    """Write a number of bytes for people, in powers of 1000."""
    if count < 1000:
        return f"{count} B"
    value, unit = count / 1000, "kB"
    for larger in ("MB", "GB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}"


def moment(at: datetime | None, now: datetime | None = None) -> str:
    """Write a time in this machine's zone: the hour if it is today's, else the date as well."""
    if at is None:
        return ""
    local = at.astimezone()
    today = (now or datetime.now(UTC)).astimezone().date()
    return local.strftime("%H:%M:%S" if local.date() == today else "%Y-%m-%d %H:%M")
