import base64
import hashlib
import hmac
import json

import pytest

from client.errors import InvalidUse, WebhookRejected
from client.webhooks import TOLERANCE_S, verify_webhook
from gateway.openapi import JOB_EXAMPLE
from worker.deliver.payload import webhook_body
from worker.deliver.signing import generate_secret, sign

SECRET = generate_secret()
BODY = webhook_body("job.succeeded", "2026-01-31T12:00:01.310Z", JOB_EXAMPLE)
NOW_S = 1_770_000_000.0


def signed(body: bytes = BODY, *secrets: str, at_s: float = NOW_S) -> dict[str, str]:
    return sign("whd_1", at_s, body, secrets or [SECRET])


def test_what_the_worker_signs_is_genuine() -> None:
    event = verify_webhook(signed(), BODY, SECRET, now_s=lambda: NOW_S)
    assert (event.id, event.type) == ("whd_1", "job.succeeded")
    assert event.data.id == JOB_EXAMPLE["id"]
    assert event.data.succeeded
    assert event.raw["data"] == JOB_EXAMPLE


def test_header_names_may_come_in_any_case_and_the_body_as_text() -> None:
    headers = {name.title(): value for name, value in signed().items()}
    assert verify_webhook(headers, BODY.decode(), SECRET, now_s=lambda: NOW_S).id == "whd_1"


def test_a_very_large_job_whose_fields_were_left_out_is_still_read() -> None:
    large = {**JOB_EXAMPLE, "metadata": {str(n): "x" * 512 for n in range(60)}}
    body = webhook_body("job.succeeded", "2026-01-31T12:00:01.310Z", large)
    event = verify_webhook(signed(body), body, SECRET, now_s=lambda: NOW_S)
    assert event.data.raw["truncated"] == ["metadata"]


def test_while_secrets_rotate_each_is_enough_on_either_side() -> None:
    old, new = generate_secret(), generate_secret()
    both_sign = signed(BODY, new, old)
    for known in (old, new, [old, new], f"{new},{old}", f"{old} {new}"):
        assert verify_webhook(both_sign, BODY, known, now_s=lambda: NOW_S).id == "whd_1"
    with pytest.raises(WebhookRejected):
        verify_webhook(both_sign, BODY, generate_secret(), now_s=lambda: NOW_S)


@pytest.mark.parametrize("age_s", [TOLERANCE_S + 1, -TOLERANCE_S - 1])
def test_a_time_too_far_from_now_is_refused_either_way(age_s: float) -> None:
    headers = signed(at_s=NOW_S - age_s)
    with pytest.raises(WebhookRejected, match="time"):
        verify_webhook(headers, BODY, SECRET, now_s=lambda: NOW_S)
    verify_webhook(headers, BODY, SECRET, now_s=lambda: NOW_S, tolerance_s=TOLERANCE_S + 2)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_missing_or_changed_is_refused(name: str) -> None:
    missing = {key: value for key, value in signed().items() if key != name}
    with pytest.raises(WebhookRejected, match=name):
        verify_webhook(missing, BODY, SECRET, now_s=lambda: NOW_S)
    changed = {**signed(), name: signed()[name] + "0"}
    with pytest.raises(WebhookRejected):
        verify_webhook(changed, BODY, SECRET, now_s=lambda: NOW_S, tolerance_s=10**12)


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "٣"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-signature": "v1"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,\ud800"},
        {"webhook-id": "\ud800"},
        {"webhook-id": "é"},
    ],
)
def test_headers_of_a_strangers_making_are_refused_and_nothing_else(
    headers: dict[str, str],
) -> None:
    with pytest.raises(WebhookRejected):
        verify_webhook({**signed(), **headers}, BODY, SECRET, now_s=lambda: NOW_S)


def test_a_signature_of_another_version_is_none() -> None:
    headers = signed()
    headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v1a,")
    with pytest.raises(WebhookRejected):
        verify_webhook(headers, BODY, SECRET, now_s=lambda: NOW_S)


def test_a_body_changed_by_one_byte_is_refused() -> None:
    with pytest.raises(WebhookRejected):
        verify_webhook(signed(), BODY.replace(b"spring", b"sprinG"), SECRET, now_s=lambda: NOW_S)


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b"{}", b'{"type": "x", "timestamp": "y"}', b"\xff"]
)
def test_a_genuine_webhook_of_no_job_is_refused(body: bytes) -> None:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    headers = signed(json.dumps({}).encode())

    digest = hmac.digest(key, f"whd_1.{int(NOW_S)}.".encode() + body, hashlib.sha256)
    headers["webhook-signature"] = "v1," + base64.b64encode(digest).decode()
    with pytest.raises(WebhookRejected, match="no job"):
        verify_webhook(headers, body, SECRET, now_s=lambda: NOW_S)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%", [], ["whsec_", SECRET]])
def test_a_secret_that_is_none_is_the_callers_mistake(secret: str | list[str]) -> None:
    with pytest.raises(InvalidUse):
        verify_webhook(signed(), BODY, secret, now_s=lambda: NOW_S)
