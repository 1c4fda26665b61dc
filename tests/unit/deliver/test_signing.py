import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from shared.errors import InvalidSettings
from worker.deliver.signing import generate_secret, parse_secrets, sign

BODY = '{"type":"job.succeeded","data":{"input":"déjà vu"}}'.encode()


def test_a_signature_verifies_with_the_standard_library_of_receivers() -> None:
    secret = generate_secret()
    headers = sign("whd_1", time.time(), BODY, [secret])
    assert set(headers) == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert Webhook(secret).verify(BODY, headers)["type"] == "job.succeeded"


def test_during_rotation_receivers_with_either_secret_can_verify() -> None:
    new, old = generate_secret(), generate_secret()
    headers = sign("whd_1", time.time(), BODY, [new, old])
    assert headers["webhook-signature"].count("v1,") == 2
    for secret in (new, old):
        Webhook(secret).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(generate_secret()).verify(BODY, headers)


@pytest.mark.parametrize("part", ["webhook-id", "webhook-timestamp", "body"])
def test_the_signature_covers_id_time_and_body(part: str) -> None:
    secret = generate_secret()
    headers, body = sign("whd_1", time.time(), BODY, [secret]), BODY
    if part == "body":
        body = BODY.replace(b"succeeded", b"failed")
    else:
        headers[part] = {"webhook-id": "whd_2", "webhook-timestamp": str(int(time.time()) - 5)}[
            part
        ]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


def test_the_signature_matches_the_specification_s_own_example() -> None:
    headers = sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_generated_secrets_are_256_bits_and_differ() -> None:
    first, second = generate_secret(), generate_secret()
    assert first != second
    assert parse_secrets(f"{first} {second}") == (first, second)
    assert parse_secrets(f" {first},\n{second} ") == (first, second)
    assert len(base64.b64decode(first.removeprefix("whsec_"))) == 32
    assert parse_secrets("") == ()


@pytest.mark.parametrize(
    "bad",
    ["hunter2", "whsec_", "whsec_!!!", "whsec_c2hvcnQ=", "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"],
)
def test_a_bad_secret_is_named_by_its_place_and_not_shown(bad: str) -> None:
    with pytest.raises(InvalidSettings, match="secret 2 of 2") as caught:
        parse_secrets(f"{generate_secret()} {bad}")
    assert bad.removeprefix("whsec_") == "" or bad not in caught.value.message


@pytest.mark.parametrize(("message_id", "count"), [("a.b", 1), ("whd_1", 0)])
def test_what_cannot_be_signed_is_refused(message_id: str, count: int) -> None:
    with pytest.raises(ValueError, match="signing needs"):
        sign(message_id, 0, BODY, [generate_secret()] * count)
