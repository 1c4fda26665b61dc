"""What the command's exit codes mean, and which an error has."""

from enum import IntEnum

from client.errors import (
    ApiError,
    InvalidUse,
    JobUnsuccessful,
    KokoroClusterError,
    ServerFault,
    Unavailable,
    Unreachable,
    UnreadableAnswer,
)


class Exit(IntEnum):
    """Exit codes; stable."""

    OK = 0
    """Done."""
    JOB_UNSUCCESSFUL = 1
    """The job failed (or would), was canceled or expired; or a program could not go on."""
    USAGE = 2
    """The command was not given what it needs."""
    UNREACHABLE = 3
    """No answer, or the server can't serve now."""
    REFUSED = 4
    """The server refused: no valid key, a bad request, an unknown job, a limit."""
    LOCAL = 5
    """A file can't be read or written, nothing here plays audio, or what came is damaged."""
    INTERRUPTED = 130
    """Ctrl-C."""
    CLOSED = 141
    """Whoever read the output has gone."""


class UsageError(InvalidUse):
    """The command was not given what it needs."""


class LocalError(KokoroClusterError):
    """Something on this machine is not as it must be."""

    code = "local"


def exit_code(error: KokoroClusterError) -> Exit:
    """Return the exit code of an error."""
    match error:
        case JobUnsuccessful():
            return Exit.JOB_UNSUCCESSFUL
        case InvalidUse():
            return Exit.USAGE
        case Unreachable() | UnreadableAnswer() | Unavailable() | ServerFault():
            return Exit.UNREACHABLE
        case ApiError():
            return Exit.REFUSED
        case _:
            return Exit.LOCAL
