"""Timed sentences to caption files, written as they come: nothing is held but one cue.

The words document has its sentences before its words, and says at its head what is known at its
end only; so its parts are written to files of their own and put together last.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shared.captions import head, sentence_row, to_json, word_rows
from shared.formats import CAPTIONS, CaptionFormat
from shared.languages import Language
from shared.timings import TimedSentence
from worker.assemble.cues import Cue, CueMaker


@dataclass(frozen=True)
class MadeCaptions:
    """One finished file.

    Attributes:
        path: where it lies; the caller moves or deletes it.
        bytes: its length.
        sha256: 64 hex digits over the file.
    """

    format: CaptionFormat
    path: Path
    bytes: int
    sha256: str


class CaptionWriter:
    """Writes one job's caption files; a context that leaves no file behind when it fails.

    Args:
        formats: what to make, each at most once.
        folder: for the files; it exists.
        language: of the text.
    """

    def __init__(self, formats: Sequence[CaptionFormat], folder: Path, language: Language) -> None:
        self._formats = formats
        self._folder = folder
        self._language = language
        self._files = ExitStack()
        self._cues = CueMaker()
        self._shown = 0
        self._sentences = 0
        self._words = 0
        self.exact = True
        self._paths: list[Path] = []
        self._texts: dict[CaptionFormat, IO[str]] = {}
        for name in formats:
            self._texts[name] = self._open(CAPTIONS[name].extension)
        if CaptionFormat.VTT in self._texts:
            self._texts[CaptionFormat.VTT].write("WEBVTT\n\n")
        if CaptionFormat.WORDS in self._texts:
            self._rows = self._open("sentences"), self._open("words")

    def __enter__(self) -> "CaptionWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._files.close()
        finally:
            for path in self._paths if kind is not None else ():
                path.unlink(missing_ok=True)

    def add(self, sentences: Sequence[TimedSentence]) -> None:
        """Write the next segment's sentences."""
        for sentence in sentences:
            self.exact = self.exact and sentence.exact
            self._show(self._cues.add(sentence))
            if CaptionFormat.WORDS in self._texts:
                self._write_rows(sentence)

    def close(self, audio_s: float) -> list[MadeCaptions]:
        """Finish the files of a job with `audio_s` seconds of audio."""
        self._show(self._cues.close(audio_s))
        if CaptionFormat.WORDS in self._texts:
            self._put_together(self._texts[CaptionFormat.WORDS], audio_s)
        self._files.close()
        return [_made(name, Path(self._texts[name].name)) for name in self._formats]

    def _open(self, ending: str) -> IO[str]:
        file = self._files.enter_context(
            tempfile.NamedTemporaryFile(  # noqa: SIM115 - the stack closes it
                "w+",
                encoding="utf-8",
                errors="replace",
                newline="\n",
                prefix="captions-",
                suffix=f".{ending}",
                dir=self._folder,
                delete=False,
            )
        )
        self._paths.append(Path(file.name))
        return file

    def _show(self, cues: Sequence[Cue]) -> None:
        for cue in cues:
            self._shown += 1
            if CaptionFormat.SRT in self._texts:
                self._texts[CaptionFormat.SRT].write(f"{self._shown}\n{srt_cue(cue)}\n")
            if CaptionFormat.VTT in self._texts:
                self._texts[CaptionFormat.VTT].write(f"{vtt_cue(cue)}\n")

    def _write_rows(self, sentence: TimedSentence) -> None:
        sentences, words = self._rows
        sentences.write(("," if self._sentences else "") + to_json(sentence_row(sentence)))
        for row in word_rows(sentence, self._sentences):
            words.write(("," if self._words else "") + to_json(row))
            self._words += 1
        self._sentences += 1

    def _put_together(self, file: IO[str], audio_s: float) -> None:
        opening = to_json(head(self._language, audio_s, exact=self.exact, complete=True))
        file.write(opening[:-1])
        for name, rows in zip(("sentences", "words"), self._rows, strict=True):
            file.write(f',"{name}":[')
            rows.seek(0)
            shutil.copyfileobj(rows, file)
            file.write("]")
            Path(rows.name).unlink()
        file.write("}\n")


def srt_cue(cue: Cue) -> str:
    """Return a cue as SubRip has it, without its number."""
    lines = "\n".join(_right_to_left(_no_tags(line)) for line in cue.lines)
    return f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n{lines}\n"


def vtt_cue(cue: Cue) -> str:
    """Return a cue as WebVTT has it."""
    lines = "\n".join(map(_escaped, cue.lines))
    return f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{lines}\n"


def _clock(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_TAG = re.compile(r"(?<=[<{])(?=[a-z/\\])", re.IGNORECASE)
_FIRST_STRONG = re.compile(
    r"^[\W\d_]*(?P<rtl>[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff])"
)
_WORD_JOINER, _RTL_EMBEDDING, _END_EMBEDDING = "\u2060", "\u202b", "\u202c"


def _no_tags(text: str) -> str:
    # SubRip knows no escapes. Players take <i> and {\an8} as commands, and some parsers an arrow
    # for a time: an invisible joiner in between leaves the text as it looks.
    text = _TAG.sub(_WORD_JOINER, text)
    return text.replace("-->", f"--{_WORD_JOINER}>")


def _right_to_left(text: str) -> str:
    # WebVTT's players look at the first letter themselves.
    if _FIRST_STRONG.match(text):
        return f"{_RTL_EMBEDDING}{text}{_END_EMBEDDING}"
    return text


def _made(name: CaptionFormat, path: Path) -> MadeCaptions:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return MadeCaptions(name, path, path.stat().st_size, digest.hexdigest())
