"""Every process as the images run it: another user, no capability, a root that can't be written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.redis_server import RedisServer
from tests.conftest import free_port

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CANNOT = 77
"""What the script ends with where it may not make such a room."""


@pytest.mark.slow
def test_all_processes_speak_and_stop_with_a_read_only_root_and_no_right(
    redis_server: RedisServer,
) -> None:
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("it takes root and unshare to make a read-only root")
    port = str(free_port())
    alone = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    folders = sorted({str(ROOT), sys.prefix, sys.base_prefix})
    room = ["sh", str(HERE / "locked_room.sh"), *folders, "--"]
    done = subprocess.run(
        [*alone, *room, sys.executable, str(HERE / "every_process.py")],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": "/mnt/data",
            "XDG_CACHE_HOME": "/mnt/cache",
            "KC_DATA_DIR": "/mnt/data",
            "KC_STORAGE_URL": "file:///mnt/objects",
            "KC_REDIS_URL": redis_server.url.removesuffix("0") + "7",
            "KC_PORT": port,
            "KC_URL": f"http://127.0.0.1:{port}",
            "KC_ENGINE": "espeak",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    if done.returncode == CANNOT or "unshare" in done.stderr:
        pytest.skip(f"this machine lets nobody make such a room: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    assert seen["uid"] == 10001
    assert not seen["root_writable"]
    assert seen["audio_bytes"] > 5000, f"{seen['said']}\n{seen['logs']}"
    assert seen["codes"] == [0] * 6, seen["logs"]
    assert seen["stopped_in_s"] < 15
