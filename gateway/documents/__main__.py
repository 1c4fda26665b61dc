"""Reads one form from standard input and writes what it comes to, once, in bounds.

Its one argument is a `Task` as JSON. It answers on standard output: a line of JSON, then the text
in UTF-8. It ends by itself, and the system ends it when it takes too much.
"""

import hashlib
import json
import os
import resource
import signal
import sys
import traceback
from types import TracebackType
from typing import Any

from gateway.documents.task import Answer, Task
from shared.errors import ClusterError


def confine(task: Task) -> None:
    """Give up, for good, all memory, time and output beyond the task's."""
    # macOS knows the limit of memory and does not let it be set.
    memory = [(resource.RLIMIT_AS, task.memory_bytes)] if sys.platform == "linux" else []
    for limit, most in (
        *memory,
        (resource.RLIMIT_CPU, task.cpu_s),
        (resource.RLIMIT_FSIZE, task.answer_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    signal.alarm(task.wall_s)
    os.nice(10)


def answer(task: Task) -> tuple[dict[str, Any], str]:
    """Return what is said of the document, and its text."""
    # Read only after this process was confined, and only what the kind of document needs.
    from gateway.documents.document import Document, Kind  # noqa: PLC0415
    from gateway.documents.form import read_form  # noqa: PLC0415
    from gateway.documents.kinds import kind_of  # noqa: PLC0415

    form = read_form(
        sys.stdin.buffer, content_type=task.content_type, max_file_bytes=task.file_bytes
    )
    data = bytes(form.file.data)
    kind = kind_of(data, filename=form.file.filename or "", media_type=form.file.media_type)
    fields = list(form.fields)
    timing = ("srt_timing", "true") in fields
    most = task.text_chars
    document: Document
    match kind:
        case Kind.EPUB:
            from gateway.documents.epub import read_epub  # noqa: PLC0415

            document = read_epub(data, most_chars=most)
        case Kind.MARKDOWN:
            from gateway.documents.markdown import read_markdown  # noqa: PLC0415

            document = read_markdown(data, most_chars=most)
        case Kind.SRT:
            from gateway.documents.subtitles import read_subtitles  # noqa: PLC0415

            document = read_subtitles(data, most_chars=most, timing=timing)
        case Kind.TXT:
            from gateway.documents.plain_text import read_plain_text  # noqa: PLC0415

            document = read_plain_text(data, most_chars=most)
    about = Answer(
        fields=fields,
        kind=kind,
        sha256=hashlib.sha256(data).hexdigest(),
        title=document.title,
        author=document.author,
        language=document.language,
        remarks=[(remark.code, remark.detail) for remark in document.remarks],
    )
    return about.to_dict(), document.text


def tell_crash(kind: type[BaseException], _: BaseException, trace: TracebackType | None) -> None:
    """Say where this program failed, and nothing of what it read."""
    last = traceback.extract_tb(trace)[-1]
    crash = f"{kind.__name__} at {os.path.basename(last.filename)}:{last.lineno}"
    print(json.dumps({"crash": crash}), flush=True)


def main() -> None:
    """Do the task of the command line."""
    sys.excepthook = tell_crash
    task = Task.from_json(sys.argv[1])
    confine(task)
    text = ""
    try:
        about, text = answer(task)
    except ClusterError as error:
        about = {"error": {"code": error.code, "message": error.message, "param": error.param}}
    except (MemoryError, RecursionError):
        about = {"error": {"code": "document_too_costly", "message": None, "param": "file"}}
    out = sys.stdout.buffer
    out.write(json.dumps(about).encode() + b"\n" + text.encode())
    out.flush()


if __name__ == "__main__":
    main()
