"""The command line, run as a shell runs it."""

import json
import os
import pty
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from client.cli.exits import Exit
from tests.conftest import free_port
from tests.faults.cluster import FaultCluster
from tests.integration.client.conftest import Shell
from worker.engines.scripted import Fault


def test_say_writes_a_file_in_the_format_of_its_ending(shell: Shell) -> None:
    ended = shell.run("say", "Good", "morning.", "-o", "a.wav")
    assert (ended.code, ended.out) == (Exit.OK, b"")
    assert (shell.folder / "a.wav").read_bytes()[:4] == b"RIFF"
    assert "a.wav" in ended.err


def test_say_pipes_what_comes_in_through_to_what_goes_out(shell: Shell) -> None:
    ended = shell.run("say", "-o", "-", "--format", "wav", stdin="Bonjour à tous.".encode())
    assert ended.code == Exit.OK
    assert ended.out[:4] == b"RIFF"
    (shell.folder / "t.txt").write_text("\ufeffFrom a file.", "utf-8")
    from_file = shell.run("say", "-f", "t.txt", "-o", "-")
    assert from_file.code == Exit.OK
    assert len(from_file.out) > 1000


@pytest.mark.parametrize(
    ("arguments", "stdin", "complaint"),
    [
        (("say", "-o", "a.wav"), b" \n", "text is empty"),
        (("say", "-o", "a.wav"), b"\xff\xfe", "UTF-8"),
        (("say", "Hello."), b"", "where the audio goes"),
        (("say", "Hello.", "-o", "a.xyz"), b"", "--format"),
        (("say", "Hello.", "-f", "t.txt", "-o", "a.wav"), b"", "not both"),
        (("say", "Hello.", "-o", "-", "--json"), b"", "--json"),
        (("submit", "-", "-o", "a.wav"), b"Hello.", "--watch"),
        (("submit",), b"", "FILE"),
        (("jobs", "--since", "yesterday"), b"", "yesterday"),
        (("jobs", "--status", "asleep"), b"", "asleep"),
        (("submit", "-", "--metadata", "x"), b"Hello.", "NAME=TEXT"),
        (("nothing",), b"", "invalid choice"),
    ],
)
def test_what_a_command_lacks_is_said_with_code_2(
    shell: Shell, arguments: tuple[str, ...], stdin: bytes, complaint: str
) -> None:
    ended = shell.run(*arguments, stdin=stdin)
    assert ended.code == Exit.USAGE
    assert complaint in ended.err
    assert ended.out == b""
    assert "Traceback" not in ended.err


def test_each_kind_of_trouble_has_its_exit_code(shell: Shell) -> None:
    assert shell.run("show", "job_nobody").code == Exit.REFUSED
    assert shell.run("say", "Hi.", "--voice", "nobody", "-o", "a.wav").code == Exit.REFUSED
    assert shell.run("submit", "no-such-file.txt").code == Exit.LOCAL
    assert shell.run("say", "Hi.", "-o", "no/such/folder/a.wav").code == Exit.LOCAL
    failed = shell.run("say", f"It asks for {Fault.RAISE} here.", "-o", "a.wav")
    assert failed.code == Exit.JOB_UNSUCCESSFUL
    assert not (shell.folder / "a.wav").exists()
    shell.settings["KC_URL"] = f"http://127.0.0.1:{free_port()}"
    away = shell.run("voices")
    assert away.code == Exit.UNREACHABLE
    assert shell.settings["KC_URL"] in away.err


def test_errors_are_json_where_json_was_asked_for(shell: Shell) -> None:
    ended = shell.run("show", "job_nobody", "--json")
    assert json.loads(ended.err)["error"]["code"] == "job_not_found"
    assert ended.out == b""


def test_a_job_goes_its_way_through_all_commands(shell: Shell) -> None:
    (shell.folder / "t.txt").write_text("One sentence here. And another one there.")
    options = ("--custom-id", "way", "--metadata", "a=b=c", "--formats", "wav,mp3")
    submitted = shell.run("submit", "t.txt", "--voice", "af_bella", *options)
    assert submitted.code == Exit.OK
    job = submitted.text.strip()
    watched = shell.run("watch", job)
    assert (watched.code, watched.text) == (Exit.OK, f"{job} succeeded\n")
    shown = shell.run("show", job, "--segments")
    assert "succeeded" in shown.text
    assert "wav" in shown.text
    assert "a" in shown.text
    listed = shell.run("jobs", "--custom-id", "way", "--since", "2h").text.splitlines()
    assert listed[0].split()[:2] == ["ID", "STATUS"]
    assert listed[1].startswith(job)
    assert shell.run("download", job).code == Exit.OK
    assert (shell.folder / f"{job}.wav").read_bytes()[:4] == b"RIFF"
    piped = shell.run("download", job, "--format", "mp3", "-o", "-")
    assert len(piped.out) > 1000
    assert shell.run("download", job, "-o", "by-its-ending.mp3").code == Exit.OK
    assert (shell.folder / "by-its-ending.mp3").read_bytes() == piped.out
    misnamed = shell.run("download", job, "-o", "a.flac")
    assert (misnamed.code, "wav, mp3 and no flac" in misnamed.err) == (Exit.USAGE, True)
    assert shell.run("cancel", job).code == Exit.REFUSED
    both = shell.run("delete", "job_nobody", job)
    assert (both.code, both.text) == (Exit.REFUSED, f"{job} deleted\n")
    assert shell.run("show", job).code == Exit.REFUSED


def test_json_is_what_the_api_says_on_every_command(shell: Shell) -> None:
    def said(*arguments: str, stdin: bytes = b"") -> dict[str, object]:
        ended = shell.run(*arguments, "--json", stdin=stdin)
        assert ended.code == Exit.OK, ended.err
        found: dict[str, object] = json.loads(ended.text)
        return found

    job = said("submit", "-", stdin=b"Say this in JSON.")
    assert job["object"] == "job"
    job_id = str(job["id"])
    lines = shell.run("watch", job_id, "--json").text.splitlines()
    updates = [json.loads(line) for line in lines]
    assert updates[-1]["event"] == "succeeded"
    assert updates[-1]["data"]["id"] == job_id
    assert said("show", job_id)["status"] == "succeeded"
    assert said("download", job_id, "-o", "a.mp3")["id"] == job_id
    assert said("say", "Another one.", "-o", "b.mp3")["status"] == "succeeded"
    for name in ("jobs", "voices", "workers"):
        found = said(name)
        assert found["object"] == "list"
        assert found["data"]
    canceled = said("submit", "-", "--priority", "batch", stdin=b"Word upon word. " * 9000)
    assert said("cancel", str(canceled["id"]))["object"] == "list"
    deleted = said("delete", str(canceled["id"]))
    assert deleted["data"] == [{"id": canceled["id"], "object": "job", "deleted": True}]


def test_ctrl_c_leaves_a_watched_job_running_and_says_how_to_come_back(
    shell: Shell, whole: FaultCluster
) -> None:
    (shell.folder / "long.txt").write_text(whole.words(300))
    process = shell.start("submit", "long.txt", "--watch")
    assert process.stderr is not None
    job = process.stderr.readline().decode().strip()
    assert job.startswith("job_")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert f"kokoro-cluster watch {job}" in err.decode()
    assert "Traceback" not in err.decode()
    assert out == b""
    assert whole.look(job)["status"] in {"queued", "processing"}
    whole.client.post(f"/v1/jobs/{job}/cancel")


def test_ctrl_c_cancels_what_is_only_being_said(shell: Shell, whole: FaultCluster) -> None:
    (shell.folder / "long.txt").write_text(whole.words(300))
    process = shell.start("say", "-f", "long.txt", "-o", "a.wav")
    assert process.stderr is not None
    process.stderr.readline()  # it has begun
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert "Canceled" in err.decode()
    newest = whole.client.get("/v1/jobs", params={"limit": 1}).json()["data"][0]
    assert newest["status"] == "canceled"
    assert list(shell.folder.iterdir()) == [shell.folder / "long.txt"]


def test_a_reader_that_goes_away_ends_the_command_quietly(
    shell: Shell, whole: FaultCluster
) -> None:
    process = shell.start("say", "-o", "-", "--format", "wav", whole.words(30))
    assert process.stdout is not None
    assert process.stdout.read(4) == b"RIFF"
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read().decode()
    assert process.wait(20) == Exit.CLOSED
    assert "Traceback" not in err
    process.stderr.close()


def test_a_list_that_nobody_reads_ends_quietly(shell: Shell) -> None:
    process = shell.start("completion", "bash")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read().decode()
    assert process.wait(20) == Exit.CLOSED
    process.stderr.close()


def on_a_terminal(shell: Shell, *arguments: str) -> tuple[int, str]:
    """Run a command whose output goes to a terminal; return its code and what was seen."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        shell.command(*arguments),
        cwd=shell.folder,
        env=shell.environment(),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    seen = b""
    try:
        while True:
            piece = os.read(master, 65536)
            if not piece:
                break
            seen += piece
    except OSError:
        pass  # the other end is closed: it has ended
    finally:
        os.close(master)
    return process.wait(30), seen.decode()


def test_without_a_file_it_is_played_by_what_is_installed(shell: Shell) -> None:
    programs = shell.folder / "bin"
    programs.mkdir()
    player = programs / "mpv"
    player.write_text('#!/bin/sh\necho "$@" > arguments; cat > played.mp3\n')
    player.chmod(player.stat().st_mode | stat.S_IXUSR)
    shell.settings["PATH"] = f"{programs}:{os.environ['PATH']}"
    code, seen = on_a_terminal(shell, "say", "Play this.")
    assert (code, "Traceback" in seen) == (Exit.OK, False)
    assert len((shell.folder / "played.mp3").read_bytes()) > 1000
    assert "-" in (shell.folder / "arguments").read_text().split()
    code, _ = on_a_terminal(shell, "voices", "--play", "bf_emma")
    assert code == Exit.OK
    player.write_text("#!/bin/sh\nexit 3\n")
    code, seen = on_a_terminal(shell, "say", "Play this again.")
    assert code == Exit.LOCAL
    assert "exit code 3" in seen


def test_without_a_player_it_says_what_to_do_instead(shell: Shell) -> None:
    shell.settings["PATH"] = str(shell.folder)
    code, seen = on_a_terminal(shell, "say", "Play this.")
    assert code == Exit.LOCAL
    assert "-o speech.mp3" in " ".join(seen.split())


def test_audio_does_not_go_to_a_terminal(shell: Shell) -> None:
    code, seen = on_a_terminal(shell, "say", "Not here.", "-o", "-")
    assert code == Exit.USAGE
    assert "garble" in seen


def test_colours_are_for_terminals_and_not_for_those_who_want_none(shell: Shell) -> None:
    shell.run("say", "Something to list.", "-o", "a.mp3")
    shell.settings["TERM"] = "xterm"
    _, seen = on_a_terminal(shell, "jobs")
    assert "\x1b[32m" in seen
    assert "\x1b" not in shell.run("jobs").text
    shell.settings["NO_COLOR"] = "1"
    _, seen = on_a_terminal(shell, "jobs")
    assert "\x1b[32m" not in seen


def test_a_terminal_sees_a_bar_and_a_pipe_sees_lines(shell: Shell, whole: FaultCluster) -> None:
    text = shell.folder / "t.txt"
    shell.settings["TERM"] = "xterm"
    text.write_text(whole.words(20))
    code, seen = on_a_terminal(shell, "submit", "t.txt", "--watch", "-o", "a.mp3")
    assert code == Exit.OK
    assert "━" in seen
    text.write_text(whole.words(20))
    ended = shell.run("submit", "t.txt", "--watch")
    assert "━" not in ended.err
    assert "succeeded" in ended.err


def complete(shell: Shell, script: Path, *words: str) -> list[str]:
    """Return what bash would offer after these words."""
    line = " ".join(f"'{word}'" for word in words)
    program = (
        f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; COMPREPLY=(); "
        f"_shtab_kokoro_cluster; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    ended = subprocess.run(
        ["bash", "-c", program], cwd=shell.folder, capture_output=True, text=True, check=True
    )
    assert ended.stderr == ""
    return ended.stdout.split()


def test_bash_completes_commands_options_choices_and_files(shell: Shell) -> None:
    script = shell.folder / "completion.bash"
    script.write_bytes(shell.run("completion", "bash").out)
    assert {"say", "submit", "jobs", "gateway"} <= set(
        complete(shell, script, "kokoro-cluster", "")
    )
    assert complete(shell, script, "kokoro-cluster", "dow") == ["download"]
    assert "--voice" in complete(shell, script, "kokoro-cluster", "say", "--v")
    assert "succeeded" in complete(shell, script, "kokoro-cluster", "jobs", "--status", "s")
    assert "add" in complete(shell, script, "kokoro-cluster", "keys", "")
    assert "completion.bash" in complete(shell, script, "kokoro-cluster", "submit", "comp")


@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_other_shells_take_their_script(shell: Shell, name: str) -> None:
    ended = shell.run("completion", name)
    assert ended.code == Exit.OK
    assert "download" in ended.text
    script = shell.folder / f"completion.{name}"
    script.write_bytes(ended.out)
    try:
        checked = subprocess.run([name, "-n", str(script)], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"{name} is not installed")
    assert checked.returncode == 0, checked.stderr


def test_keys_are_made_listed_and_revoked_in_json(shell: Shell) -> None:
    shell.settings["KC_API_KEYS_FILE"] = str(shell.folder / "keys.json")
    made = json.loads(shell.run("keys", "add", "course maker", "--json").text)
    assert made["key"].startswith(f"kc_{made['id']}_")
    listed = json.loads(shell.run("keys", "list", "--json").text)["data"]
    assert [key["name"] for key in listed] == ["course maker"]
    assert "key" not in listed[0]
    assert "secret" not in json.dumps(listed)
    limited = json.loads(shell.run("keys", "limit", made["id"], "--rate", "6", "--json").text)
    assert limited == {**listed[0], "rate_per_min": 6}
    revoked = json.loads(shell.run("keys", "revoke", made["id"], "--json").text)
    assert revoked["revoked_at"] is not None
