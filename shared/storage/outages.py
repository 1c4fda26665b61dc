"""obstore's errors as the project's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from shared.errors import InvalidSettings, ObjectMissing, StorageUnavailable


@contextmanager
def named_errors(
    key: str,
    *,
    missing_ok: bool | None = None,
    at_start: bool = False,
    is_there: Callable[[], bool] = lambda: True,
) -> Iterator[None]:
    """Turn obstore's errors into the project's.

    Args:
        key: for the message.
        missing_ok: what "not found" means: None `ObjectMissing`, True nothing at all, False that
            the store itself is away (a bucket, or a folder whose disk is not mounted).
        at_start: whether a refusal is a bad setting; later it is an outage, because a credential
            that is being rotated must not fail a job for good.
        is_there: whether the store itself is: else nothing can be said of an object.
    """
    try:
        yield
    except FileNotFoundError as error:
        if at_start:
            raise InvalidSettings(
                f"Object storage has no such place: {first_line(error)}"
            ) from error
        if missing_ok is None and is_there():
            raise ObjectMissing(f"No object is stored under {key!r}.") from error
        if not missing_ok:
            raise StorageUnavailable(
                f"Object storage lacks its root: {first_line(error)}"
            ) from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        if at_start:
            raise InvalidSettings(f"Object storage refuses access: {first_line(error)}") from error
        raise StorageUnavailable(f"Object storage refuses access: {first_line(error)}") from error
    except (BaseError, OSError) as error:
        raise StorageUnavailable(f"Object storage did not answer: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """Return the first line of obstore's message, which goes on for a page."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
