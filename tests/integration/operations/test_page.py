"""`docs/situations.md` promises no more than its tests do."""

import re
from pathlib import Path

from tests.integration.operations.guide import sections


def test_every_situation_is_tried_by_a_test() -> None:
    tests = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    tried = re.findall(r'operator\.situation\("([^"]+)"\)', tests)
    assert sorted(tried) == sorted(sections())


def test_what_was_not_run_says_so_and_only_what_cannot_run_here_is_not() -> None:
    for heading, blocks in sections().items():
        for block in blocks:
            said = "Not run here" in block.before.strip().split("\n\n")[-1]
            assert said == (not block.ran), (heading, block.text)
            assert block.needs_what_is_not_here == (not block.ran), (heading, block.text)
