import argparse
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest

from client.answers import Job
from client.cli.exits import Exit, exit_code
from client.cli.options import _WHERE, add_commands
from client.cli.player import PLAYERS, player
from client.cli.submit import job_options
from client.cli.texts import format_for
from client.errors import (
    ApiError,
    AuthenticationFailed,
    BrokenAudio,
    InvalidUse,
    JobFailed,
    KokoroClusterError,
    RateLimited,
    ServerFault,
    Unavailable,
    Unreachable,
    UnreadableAnswer,
)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers(), parser)
    return parser.parse_args(arguments)


def test_every_command_is_where_it_is_said_to_be() -> None:
    for module, name in _WHERE.values():
        assert callable(getattr(import_module(module), name))


def test_only_what_was_said_is_sent() -> None:
    assert job_options(parse("submit", "a.txt")) == {}
    options = job_options(
        parse(
            "submit",
            "a.txt",
            "--voice",
            "af_heart",
            "--metadata",
            "a=b=c",
            "--metadata",
            "d=",
            "--formats",
            "mp3, wav",
            "--speed",
            "1.5",
            "--lexicon",
            "x",
            "--lexicon",
            "y@2",
        )
    )
    assert options == {
        "voice": "af_heart",
        "metadata": {"a": "b=c", "d": ""},
        "formats": ["mp3", "wav"],
        "speed": 1.5,
        "lexicons": ["x", "y@2"],
    }


@pytest.mark.parametrize(
    ("wanted", "output", "format"),
    [
        (None, None, None),
        (None, "-", None),
        (None, "a.MP3", "mp3"),
        (None, "a.ogg", "opus"),
        (None, "a", None),
        ("wav", "a.mp3", "wav"),
        ("new", "a.new", "new"),
    ],
)
def test_a_files_ending_is_its_format_unless_one_is_named(
    wanted: str | None, output: str | None, format: str | None
) -> None:
    assert format_for(wanted, output) == format


def test_an_age_or_a_time_is_a_moment() -> None:
    since = parse("jobs", "--since", "90m").since
    assert abs(datetime.now(UTC) - timedelta(minutes=90) - since) < timedelta(seconds=10)
    assert parse("jobs", "--since", "2026-01-31T12:00+00:00").since == datetime(
        2026, 1, 31, 12, tzinfo=UTC
    )
    assert parse("jobs", "--since", "2026-01-31").since.tzinfo is not None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JobFailed(Job(id="j", status="failed")), Exit.JOB_UNSUCCESSFUL),
        (InvalidUse(), Exit.USAGE),
        (Unreachable(), Exit.UNREACHABLE),
        (UnreadableAnswer(), Exit.UNREACHABLE),
        (Unavailable(status=503), Exit.UNREACHABLE),
        (ServerFault(status=500), Exit.UNREACHABLE),
        (AuthenticationFailed(status=401), Exit.REFUSED),
        (RateLimited(status=429), Exit.REFUSED),
        (ApiError(status=418), Exit.REFUSED),
        (BrokenAudio(), Exit.LOCAL),
    ],
)
def test_each_error_has_its_exit_code(error: KokoroClusterError, code: Exit) -> None:
    assert exit_code(error) is code


def test_the_first_player_that_is_installed_is_taken() -> None:
    chosen = player(lambda name: f"/usr/bin/{name}" if name in {"aplay", "mpv"} else None)
    assert (chosen.command[0], chosen.format) == ("/usr/bin/mpv", "mp3")
    assert {one.format for one in PLAYERS} == {"mp3", "pcm"}
    with pytest.raises(KokoroClusterError, match="-o"):
        player(lambda name: None)
