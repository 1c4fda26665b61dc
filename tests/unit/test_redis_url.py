"""Addresses of Redis: one server or sentinels, with TLS or without, as each library reads them."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from kombu import Connection
from pydantic import ValidationError

from shared.redis_url import broker_url, tls_options, watched, without_login
from shared.settings import Settings

SENTINELS = "redis+sentinel://us%40er:p%2Fw%3B@one,two:7000,[::1]:7001/3?service=kokoro"


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "a file & more.pem"
    path.write_text("")
    return path


def test_an_address_without_files_stays_as_it_is() -> None:
    url = "redis://user:pw@host:7000/2?protocol=3"
    settings = Settings(redis_url=url)
    assert settings.redis == url
    assert broker_url(url) == url
    assert watched(url) is None
    assert tls_options(url) is None


def test_files_for_tls_go_with_the_address(pem: Path) -> None:
    url = Settings(redis_url="rediss://:pw@host/0", redis_ca_file=pem).redis
    assert parse_qs(urlsplit(url).query)["ssl_ca_certs"] == [str(pem)]
    assert tls_options(url) == {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_ca_certs": str(pem),
    }
    assert broker_url(url) == "rediss://:pw@host/0", "Kombu is told apart"


def test_a_name_that_is_not_in_the_certificate_passes_only_where_that_is_asked_for() -> None:
    asked = tls_options("rediss://host/0?ssl_check_hostname=false")
    assert asked is not None
    assert asked["ssl_check_hostname"] is False
    assert asked["ssl_cert_reqs"] == "required"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"redis_url": "redis://host/0", "redis_ca_file": "PEM"}, "redis://"),
        ({"redis_url": "rediss://host/0", "redis_cert_file": "PEM"}, "go together"),
        ({"redis_url": "rediss://host/0", "redis_ca_file": "/no/such.pem"}, "/no/such.pem"),
        ({"redis_url": "redis+sentinel://one,two/0"}, "service"),
        ({"redis_url": "redis+sentinel://one,/0?service=a"}, "no host"),
        ({"redis_url": "redis+sentinel://one/x?service=a"}, "number of a database"),
        ({"redis_url": "http+sentinel://one/0?service=a"}, "no such scheme"),
    ],
)
def test_what_does_not_fit_together_is_refused_at_the_start(
    changes: dict[str, str], word: str, pem: Path
) -> None:
    filled = {name: str(pem) if value == "PEM" else value for name, value in changes.items()}
    with pytest.raises(ValidationError, match=word):
        Settings.model_validate(filled)


def test_sentinels_are_read_with_their_ports_and_the_primarys_login() -> None:
    found = watched(SENTINELS + "&sentinel_password=s")
    assert found is not None
    assert found.sentinels == (("one", 26_379), ("two", 7000), ("::1", 7001))
    assert (found.service, found.db) == ("kokoro", 3)
    assert found.login == {"username": "us@er", "password": "p/w;"}
    assert found.sentinel_login == {"password": "s"}
    assert found.ssl == {}


def test_kombu_reads_every_sentinel_with_the_same_login() -> None:
    with Connection(broker_url(SENTINELS)) as connection:
        assert len(connection.alt) == 3
        assert connection.userid == "us@er"
        assert connection.password == "p/w;"
        assert connection.virtual_host == "3"


def test_sentinels_over_tls_and_the_primary_have_the_same_files(pem: Path) -> None:
    url = "rediss+sentinel://one/0?service=a"
    found = watched(Settings(redis_url=url, redis_ca_file=pem).redis)
    assert found is not None
    assert found.ssl["ssl"] is True
    assert found.ssl["ssl_ca_certs"] == str(pem)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rediss://user:secret@host/0?ssl_ca_certs=x", "rediss://host:6379/0"),
        (SENTINELS, "redis+sentinel://one,two:7000,[::1]:7001/3"),
    ],
)
def test_people_see_no_password(url: str, shown: str) -> None:
    assert without_login(url) == shown


def test_settings_that_are_printed_show_no_password() -> None:
    assert "secret" not in repr(Settings(redis_url="redis://:secret@host/0"))
