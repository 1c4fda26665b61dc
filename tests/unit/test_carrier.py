"""How a worker waits for a Redis that is away."""

import pytest

from shared.bell import make_celery
from shared.carrier import LOOK_AGAIN_S
from shared.settings import Settings
from tests.conftest import free_port


class Enough(Exception):
    """Ends the looking."""


def test_a_redis_that_is_away_is_looked_for_at_an_even_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("kombu.utils.functional.sleep", slept.append)
    waits: list[float] = []

    def told(error: Exception, interval_s: float) -> None:
        waits.append(interval_s)
        if len(waits) == 12:
            raise Enough

    settings = Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0")
    with (
        make_celery(settings) as app,
        app.connection_for_read() as connection,
        pytest.raises(Enough),
    ):
        connection.ensure_connection(told, callback=lambda: None)
    assert waits == [LOOK_AGAIN_S] * 12
    assert sum(slept) == pytest.approx(11 * LOOK_AGAIN_S)
