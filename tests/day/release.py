"""The release before this one, as files: what an upgrade starts from."""

import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).parents[2]

LAST_RELEASE = "a43aaadd2f364775d5a0d54ba8c6c4d151f3c1d7"
"""What stands for it while no version is tagged: the one of `tests/integration/upgrade`."""


@dataclass(frozen=True)
class Release:
    """A tree of code to run processes from.

    Attributes:
        name: a tag, or the beginning of a commit.
        tree: where it is.
    """

    name: str
    tree: Path

    def environment(self) -> dict[str, str]:
        """Return the variables that make Python take this tree and no other."""
        # Else `-m` would look into the working folder first.
        return {"PYTHONPATH": str(self.tree), "PYTHONSAFEPATH": "1"}


def this() -> Release:
    """Return the code of this checkout."""
    found = _git("rev-parse", "--short=7", "HEAD")
    return Release(found.decode().strip() if found else "this", ROOT)


def previous(folder: Path) -> Release | str:
    """Put the release before this one into a folder; return it, or why it can't be had."""
    tag = _newest_tag()
    commit = tag or LAST_RELEASE
    packed = _git("archive", "--format=tar", commit)
    if packed is None:
        return f"the git history has no {commit[:7]} (a shallow clone, or no clone at all)"
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    release = Release(commit if tag else commit[:7], folder)
    _check(release)
    return release


def _newest_tag() -> str | None:
    found = _git("describe", "--tags", "--abbrev=0", "HEAD^")
    return found.decode().strip() if found else None


def _check(release: Release) -> None:
    """See that a process started for a release has that release's code."""
    asked = (
        "import gateway, shared, worker; print(gateway.__file__, shared.__file__, worker.__file__)"
    )
    said = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, **release.environment()},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    assert all(Path(file).is_relative_to(release.tree) for file in said), said


def _git(*arguments: str) -> bytes | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, check=False, timeout=60
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
