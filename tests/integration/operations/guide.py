"""`docs/situations.md` as its tests read it: sections, and in them the blocks that are run."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "situations.md"
_SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^( *)```sh( not-run)?\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_ELSEWHERE = re.compile(r"\b(kubectl|docker|systemctl|journalctl|nvidia-smi|dmesg)\b")


@dataclass(frozen=True)
class Block:
    """Some commands of a section.

    Attributes:
        before: the page from the section's heading, or the block before, on.
        ran: whether tests run it.
    """

    text: str
    before: str
    ran: bool

    @property
    def needs_what_is_not_here(self) -> bool:
        """Whether a command of it takes an orchestrator, or a driver of GPUs."""
        return _ELSEWHERE.search(self.text) is not None


def sections() -> dict[str, list[Block]]:
    """Return each section's blocks, by heading."""
    return {heading: _blocks(body) for heading, body in _SECTION.findall(PAGE.read_text())}


def _blocks(body: str) -> list[Block]:
    found, at = [], 0
    for match in _BLOCK.finditer(body):
        indent, apart, text = match.groups()
        lines = (line.removeprefix(indent) for line in text.splitlines())
        found.append(Block("\n".join(lines), body[at : match.start()], apart is None))
        at = match.end()
    return found
