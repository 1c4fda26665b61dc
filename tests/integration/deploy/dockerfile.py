"""Replays a Dockerfile's build stages in a folder: no engine, no root, the machine's own Python.

In: a Dockerfile's text. Out: its stages; and, for one of them, a folder in which its COPY and RUN
steps were done, those of the stages it begins from included, with every path of the image inside
the folder. A stage that installs the system's packages can't be replayed.
"""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOTS = re.compile(r"(?<![\w.}/-])/(opt|src|wheels|models)\b")
"""Folders of the image that steps name; elsewhere they write nothing."""

STEP_TIMEOUT_S = 600


@dataclass(frozen=True)
class Stage:
    """One stage: what it begins from and its instructions, each an upper-case word and the rest."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all_of(self, word: str) -> list[str]:
        """Return the rest of each instruction of one kind."""
        return [rest for found, rest in self.steps if found == word]


def parse(text: str) -> dict[str, Stage]:
    """Return the stages by name, in their order."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    stages: dict[str, Stage] = {}
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages[name] = Stage(name, base)
        elif word and stages:
            next(reversed(stages.values())).steps.append((word, rest.strip()))
    return stages


class Context:
    """The files a build may see: a folder, less what its ignore file leaves out."""

    def __init__(self, folder: Path, ignored: str) -> None:
        self.folder = folder
        self._patterns = [p for p in ignored.split("\n") if p and not p.startswith("#")]

    def has(self, path: str) -> bool:
        """Return whether the path, relative to the folder, is part of the context."""
        parts = Path(path).parts
        above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        kept = True
        for pattern in self._patterns:
            bare = pattern.removeprefix("!").removeprefix("**/")
            names = parts if "**/" in pattern else above
            # Unlike fnmatch's, a star there stops at a slash.
            if any(n.count("/") == bare.count("/") and fnmatch.fnmatch(n, bare) for n in names):
                kept = pattern.startswith("!")
        return kept

    def copy(self, path: str, to: Path) -> None:
        """Copy a file or a folder as `COPY` does.

        Raises:
            FileNotFoundError: the context has no such path.
        """
        source = self.folder / path
        files = [source] if source.is_file() else [f for f in source.rglob("*") if f.is_file()]
        seen = [f for f in files if self.has(f.relative_to(self.folder).as_posix())]
        if not seen:
            raise FileNotFoundError(f"COPY {path}: not in the build context")
        for file in seen:
            target = to / file.relative_to(source) if source.is_dir() else to
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


class Replay:
    """Does the steps of stages inside a folder.

    Args:
        stages: of the Dockerfile.
        context: of the build.
        arguments: build arguments.
    """

    def __init__(
        self, stages: Mapping[str, Stage], context: Context, arguments: Mapping[str, str]
    ) -> None:
        self._stages = stages
        self._context = context
        self._arguments = arguments

    def build(self, name: str, root: Path) -> Path:
        """Replay a stage and those it begins from; return `root`.

        Raises:
            subprocess.CalledProcessError: a step failed; its output has the reason.
        """
        self._replay(self._stages[name], root)
        return root

    def _replay(self, stage: Stage, root: Path) -> tuple[dict[str, str], Path]:
        values: dict[str, str] = {}
        folder = root
        if stage.base in self._stages:
            values, folder = self._replay(self._stages[stage.base], root)
        for word, rest in stage.steps:
            match word:
                case "ARG":
                    key, _, default = rest.partition("=")
                    values[key] = self._arguments.get(key, default.strip('"'))
                case "ENV":
                    values |= dict(re.findall(r"(\w+)=(\S+)", rest))
                case "WORKDIR":
                    folder = _inside(root, rest)
                    folder.mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(rest, root, folder)
                case "RUN":
                    _run(rest, root, folder, values)
                case _:
                    raise NotImplementedError(word)
        return values, folder

    def _copy(self, rest: str, root: Path, folder: Path) -> None:
        *sources, to = rest.split()
        if sources[0].startswith("--from="):
            other = sources[0].removeprefix("--from=")
            built = self.build(other, root.with_name(f"{root.name}-{other}"))
            shutil.copytree(_inside(built, sources[1]), _inside(root, to), symlinks=True)
            return
        target = _inside(root, to) if to.startswith("/") else folder / to
        for source in sources:
            into = to.endswith("/")
            self._context.copy(source, target / Path(source).name if into else target)


def _inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _run(command: str, root: Path, folder: Path, values: Mapping[str, str]) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("KC_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(
        ["sh", "-c", ROOTS.sub(lambda found: f"{root}/{found[1]}", command)],
        cwd=folder,
        env={**clean, **values, "PATH": path},
        check=True,
        capture_output=True,
        text=True,
        timeout=STEP_TIMEOUT_S,
    )


def exec_form(rest: str) -> list[str]:
    """Return the words of `CMD ["…"]`, `ENTRYPOINT ["…"]` or `HEALTHCHECK … CMD ["…"]`."""
    words = json.loads(rest[rest.index("[") :])
    assert isinstance(words, list)
    return [str(word) for word in words]
