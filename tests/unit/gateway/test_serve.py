"""Where the gateway may listen."""

import socket
from pathlib import Path

import pytest

from gateway.body_limit import max_body_bytes
from gateway.serve import bind, check_exposure
from shared.errors import InvalidSettings
from shared.settings import Settings
from tests.conftest import free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    check_exposure(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])
def test_any_other_address_needs_keys_or_a_word(host: str) -> None:
    with pytest.raises(InvalidSettings, match="KC_INSECURE=1"):
        check_exposure(Settings(host=host))
    check_exposure(Settings(host=host, insecure=True))
    check_exposure(Settings(host=host, api_keys_file=Path("keys.json")))


def test_answers_are_not_held_back_by_nagles_algorithm() -> None:
    with bind(Settings(port=free_port())) as listener:
        # What asyncio looks at before it sets TCP_NODELAY on a connection.
        assert listener.proto == socket.IPPROTO_TCP


def test_the_longest_text_fits_a_body_however_it_is_escaped() -> None:
    assert len('{"input": "' + "\\ud83d\\ude42" * 1000 + '"}') < max_body_bytes(1000)
