"""Writes what Prometheus and Grafana read, with links to where your operators find the runbooks.

`python -m deploy.alert_links https://wiki.example.com/runbooks --to out/observability`, or
`make observability RUNBOOKS=…`. In: the files of `deploy/observability/`, whose links are a
placeholder. Out: the same files with your address in every alert; checked by promtool where there
is one. Needs nothing but Python.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

SOURCE = Path(__file__).with_name("observability")
FILES = ("alerts.yml", "alerts_test.yml", "prometheus.yml", "dashboard.json")
PAGE = "https://runbooks.example/runbooks.md"
"""Stands in the files for the page's address; after it comes `#` and an alert in small letters."""

_LINK = re.compile(re.escape(PAGE) + r"#(\w+)")
_NAME = re.compile(r"^ *- (?:alert|alertname): (\w+)$", re.MULTILINE)
# What would end the value in YAML, or be a template to Prometheus; `{alert}` is taken out before.
_AWKWARD = re.compile(r"[\s'\"#{}\\<>`|]")


def check_address(page: str) -> str:
    """Return the address of a page of runbooks as it is put into rules.

    Raises:
        ValueError: it is no http or https address, or has characters that rules can't hold.
    """
    parts = urlsplit(page)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{page!r} is no address such as https://wiki.example.com/runbooks.md")
    if _AWKWARD.search(page.replace("{alert}", "")):
        raise ValueError(f"{page!r} has characters that must be written as %XX")
    return page


def with_links(text: str, page: str) -> str:
    """Return a file's text with links to a page of runbooks.

    Args:
        text: one of `FILES`.
        page: its address, without `#`: an alert's section follows. Where `{alert}` stands in it,
            that is the alert's name, for a page each.
    """
    names = {name.lower(): name for name in _NAME.findall((SOURCE / "alerts.yml").read_text())}

    def link(match: re.Match[str]) -> str:
        section = match.group(1)
        if "{alert}" in page:
            return page.replace("{alert}", names[section])
        return f"{page}#{section}"

    return _LINK.sub(link, text)


def write(page: str, folder: Path) -> None:
    """Write all files.

    Raises:
        OSError: the folder can't be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).write_text(with_links((SOURCE / name).read_text(), page))


def check(folder: Path) -> bool | None:
    """Have promtool check and test the rules; return whether they are fine, None without one."""
    program = shutil.which("promtool") or shutil.which(
        "promtool", path=SOURCE.parents[1] / ".venv" / "bin"
    )
    if program is None:
        return None
    asked = (("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml"))
    return all(
        subprocess.run([program, *words], cwd=folder, check=False).returncode == 0  # noqa: S603
        for words in asked
    )


def main() -> int:
    """Write and check; return the exit code."""
    parser = argparse.ArgumentParser(description="Put your address of the runbooks into alerts.")
    parser.add_argument("page", help="the page's address; with {alert}, a page each")
    parser.add_argument("--to", type=Path, default=Path("out/observability"), metavar="FOLDER")
    options = parser.parse_args()
    try:
        write(check_address(options.page), options.to)
    except (ValueError, OSError) as error:
        print(f"alert_links: {error}", file=sys.stderr)
        return 1
    fine = check(options.to)
    said = {True: "promtool is content", False: "promtool is NOT content", None: "no promtool"}
    print(f"Wrote {', '.join(FILES)} to {options.to} ({said[fine]}).")
    return 1 if fine is False else 0


if __name__ == "__main__":
    sys.exit(main())
