"""Starts every process of the cluster, has a text spoken, and stops them; prints what it saw.

Run by test_read_only_root.py inside `locked_room.sh`; not a test itself.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PROCESSES = [
    ["gateway"],
    ["reconciler"],
    *(["worker", stage] for stage in ("plan", "synth", "assemble", "deliver")),
]
READY_WITHIN_S = 120


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the project's to its end."""
    command = [sys.executable, "-m", "deploy.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def all_loaded() -> bool:
    """Return whether every worker has loaded."""
    stages = [words[1] for words in PROCESSES if words[0] == "worker"]
    return all(run("worker-health", stage, "--loaded").returncode == 0 for stage in stages)


def main() -> None:
    """See the module."""
    data = Path(os.environ["KC_DATA_DIR"])
    logs = [(data / f"{'-'.join(words)}.log").open("w") for words in PROCESSES]
    processes = [
        subprocess.Popen([sys.executable, "-m", "deploy.cli", *words], stdout=log, stderr=log)
        for words, log in zip(PROCESSES, logs, strict=True)
    ]
    until = time.monotonic() + READY_WITHIN_S
    while not all_loaded() and time.monotonic() < until:
        time.sleep(0.5)
    spoken = run("say", "Hello from xqzt, a room without a key.", "-o", str(data / "hello.mp3"))
    audio = data / "hello.mp3"
    for process in processes:
        process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    codes = [process.wait(60) for process in processes]
    try:
        Path("/written").touch()
        writable = True
    except OSError:
        writable = False
    seen = {
        "uid": os.getuid(),
        "root_writable": writable,
        "said": spoken.stderr,
        "audio_bytes": audio.stat().st_size if audio.exists() else 0,
        "codes": codes,
        "stopped_in_s": time.monotonic() - began,
        "logs": "".join(Path(log.name).read_text() for log in logs)[-4000:],
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
