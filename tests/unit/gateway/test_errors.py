"""The one table from errors to statuses."""

import inspect
import json

import pytest

from gateway import errors
from gateway.errors import ApiError, NotFound, error_body, error_response, status_of
from shared import errors as shared_errors


def test_every_error_of_the_gateway_has_a_status() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    for kind in kinds:
        if issubclass(kind, shared_errors.ClusterError) and kind is not ApiError:
            assert status_of(kind()) != 500, kind


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (shared_errors.NothingToSpeak(), 422),
        (shared_errors.UnknownVoice(), 422),
        (shared_errors.InvalidMarkup(), 422),
        (shared_errors.InvalidWebhook(), 422),
        (shared_errors.ForbiddenAddress(), 422),
        (shared_errors.StorageUnavailable(), 503),
        (shared_errors.ObjectMissing(), 410),
        (shared_errors.IllegalTransition(), 500),
        (errors.JobTerminal(), 409),
        (errors.JobNotFound(), 404),
    ],
)
def test_an_errors_status_is_its_own_or_its_nearest_ancestors(
    error: shared_errors.ClusterError, status: int
) -> None:
    assert status_of(error) == status


def test_codes_are_unique_among_the_gateways_errors() -> None:
    kinds = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, ApiError) and kind is not ApiError
    ]
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_every_503_says_when_to_come_back() -> None:
    assert int(error_response(shared_errors.StorageUnavailable()).headers["retry-after"]) > 0
    assert error_response(errors.SystemFull(retry_after_s=7)).headers["retry-after"] == "7"


def test_what_a_client_sent_is_said_back_short_and_encodable() -> None:
    body = error_body(422, "x" * 10_000, "code", "\ud800")
    assert len(json.dumps(body)) < 1000
    assert body["error"]["param"] == "?"


def test_an_errors_message_defaults_to_its_docstring() -> None:
    assert NotFound().message == "There is nothing at this address."
