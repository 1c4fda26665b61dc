"""`make lint`'s look for known vulnerabilities: pip-audit, where its service can be reached.

In: the packages installed beside this Python. Out: 0 when none is known to be vulnerable, or when
nobody could be asked, which is said in one line; 1 and pip-audit's table otherwise.
"""

import subprocess
import sys
from collections.abc import Sequence

import httpx

SERVICE_URL = "https://api.osv.dev/v1/query"
"""Asked about one package at a time. Not PyPI's own service: a mirror that answers 404 there looks
to pip-audit like one that knows of no vulnerability."""

PROBE_TIMEOUT_S = 10.0
AUDIT_TIMEOUT_S = 600.0
ANSWER_TIMEOUT_S = 15
"""For one package."""


def why_unreachable(service_url: str) -> str | None:
    """Ask the service about one package; return what is wrong with it, or None."""
    question = {"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "19.0"}
    try:
        answer = httpx.post(service_url, json=question, timeout=PROBE_TIMEOUT_S)
        if answer.status_code != httpx.codes.OK:
            return f"it answers {answer.status_code}"
        if not isinstance(answer.json(), dict):
            return "it does not answer as the service does"
    except httpx.HTTPError as error:
        return type(error).__name__
    except ValueError:
        return "it does not answer in JSON"
    return None


def main(
    arguments: Sequence[str],
    *,
    service_url: str = SERVICE_URL,
    timeout_s: float = AUDIT_TIMEOUT_S,
) -> int:
    """Run pip-audit and return its exit code.

    Args:
        arguments: further ones for pip-audit, such as `--ignore-vuln ID`.
        service_url: of a service that speaks OSV's protocol.
        timeout_s: for all packages together.
    """
    why = why_unreachable(service_url)
    if why is None:
        command = [sys.executable, "-m", "pip_audit", "--skip-editable", "--progress-spinner=off"]
        command += ["--vulnerability-service=osv", f"--osv-url={service_url}"]
        command += [f"--timeout={ANSWER_TIMEOUT_S}", *arguments]
        try:
            return subprocess.run(command, check=False, timeout=timeout_s).returncode
        except subprocess.TimeoutExpired:
            why = f"it did not get through all packages in {timeout_s:.0f} s"
    print(f"pip-audit skipped, nobody was asked for vulnerabilities: {service_url}: {why}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
