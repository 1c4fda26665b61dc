"""All areas one after another, and the report."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from deploy.doctor.finding import Examination, Finding, Verdict
from deploy.doctor.ledger import examine_redis
from deploy.doctor.machine import examine_machine, examine_settings
from deploy.doctor.speech import examine_g2p, examine_gpus, examine_model
from deploy.doctor.store import examine_storage
from shared.errors import InvalidSettings
from shared.settings import load_settings

AREAS: dict[str, Examination] = {
    "settings": examine_settings,
    "redis": examine_redis,
    "storage": examine_storage,
    "model": examine_model,
    "g2p": examine_g2p,
    "gpu": examine_gpus,
    "machine": examine_machine,
}
"""What is looked at, in this order."""


def examine(areas: Sequence[str] = ()) -> Iterator[Finding]:
    """Yield what is found, while it is looked for; of all areas if none is named."""
    try:
        settings = load_settings()
    except InvalidSettings as error:
        yield Finding("settings", "values", Verdict.ERROR, error.message, "Correct it as it says.")
        return
    for area in areas or AREAS:
        yield from AREAS[area](settings)


def doctor(areas: Sequence[str], *, as_json: bool) -> int:
    """Print what is found; return 1 if something is wrong, else 0."""
    findings = []
    for finding in examine(areas):
        findings.append(finding)
        if not as_json:
            print(_line(finding), flush=True)
    wrong = any(finding.verdict is Verdict.ERROR for finding in findings)
    if as_json:
        rows = [asdict(finding) for finding in findings]
        print(json.dumps({"object": "examination", "ok": not wrong, "findings": rows}))
    else:
        print(_summary(findings))
    return int(wrong)


def _line(finding: Finding) -> str:
    line = f"{finding.verdict:8} {finding.area:9} {finding.check:12} {finding.detail}"
    return line if finding.remedy is None else f"{line}\n{'':31} → {finding.remedy}"


def _summary(findings: Iterable[Finding]) -> str:
    counts = Counter(finding.verdict for finding in findings)
    parts = (f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    return ", ".join(parts)
