"""Programs of the system's, or what `tests/observability/fetch_programs.sh` put beside Python."""

import os
import shutil
import sys
from pathlib import Path

NEEDED = ("prometheus", "nginx")


class Missing(Exception):
    """A program is not on this machine; the message says how to get it."""


def program(name: str) -> str:
    """Return the path of a program.

    Raises:
        Missing: there is none.
    """
    beside = str(Path(sys.executable).parent)
    # Debian has servers where only root looks for them.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), beside, "/usr/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise Missing(f"no {name}: run tests/observability/fetch_programs.sh, or install {name}")
    return found
