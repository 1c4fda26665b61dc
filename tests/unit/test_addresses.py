from ipaddress import ip_address, ip_network

import pytest

from shared.addresses import AddressRules, check_url, parse_rules
from shared.errors import ForbiddenAddress, InvalidSettings, InvalidWebhook

PUBLIC_ONLY = AddressRules()
ANY_PORT = AddressRules(ports=None)


def test_a_url_is_taken_apart() -> None:
    target = check_url("HTTPS://Hooks.Example.:443/a/b?c=d%20e", PUBLIC_ONLY)
    assert (target.scheme, target.host, target.port) == ("https", "hooks.example", 443)
    assert (target.path, target.address) == ("/a/b?c=d%20e", None)
    assert target.host_header == "hooks.example"


@pytest.mark.parametrize(
    ("url", "port", "path", "host_header"),
    [
        ("http://hooks.example", 80, "/", "hooks.example"),
        ("https://hooks.example", 443, "/", "hooks.example"),
        ("http://hooks.example?a=1", 80, "/?a=1", "hooks.example"),
        ("http://hooks.example:8080/x", 8080, "/x", "hooks.example:8080"),
        ("http://hooks.example:443/", 443, "/", "hooks.example:443"),
        ("https://[2606:4700::1111]/", 443, "/", "[2606:4700::1111]"),
        ("https://[2606:4700:0::1111]:8443/", 8443, "/", "[2606:4700::1111]:8443"),
        ("https://1.1.1.1/", 443, "/", "1.1.1.1"),
        ("https://my_service/", 443, "/", "my_service"),
        ("https://xn--bcher-kva.example/", 443, "/", "xn--bcher-kva.example"),
        ("https://bücher.example/", 443, "/", "xn--bcher-kva.example"),
        ("https://straße.example/", 443, "/", "xn--strae-oqa.example"),
    ],
)
def test_ports_paths_and_host_headers(url: str, port: int, path: str, host_header: str) -> None:
    target = check_url(url, ANY_PORT)
    assert (target.port, target.path, target.host_header) == (port, path, host_header)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example",
        "//hooks.example/",
        "ftp://hooks.example/",
        "file:///etc/passwd",
        "gopher://hooks.example/",
        "javascript:alert(1)",
        "http:/hooks.example/",
        "http:hooks.example",
        "http://",
        "http:///path",
        "http://:80/",
        "http://user@hooks.example/",
        "http://user:password@hooks.example/",
        "http://hooks.example@127.0.0.1/",
        "http://127.0.0.1:80@hooks.example/",
        "http://hooks.example#@127.0.0.1/",
        "http://hooks.example/#fragment",
        "http://hooks.example\\@127.0.0.1/",
        "http:\\\\127.0.0.1/",
        "http://hooks.example/a b",
        " http://hooks.example/",
        "http://hooks.example/\r\nX-Injected: 1",
        "http://hooks.example/\x00",
        "http://hooks\t.example/",
        "http://hooks.example/hücke",
        "http://hooks.example/\ud800",
        "http://\ud800.example/",
        "http://hooks.example:/",
        "http://hooks.example:0/",
        "http://hooks.example:65536/",
        "http://hooks.example:-80/",
        "http://hooks.example:８０/",
        "http://hooks.example:80:80/",
        "http://hooks..example/",
        "http://.example/",
        "http://-hooks.example/",
        "http://hooks%2eexample/",
        "http://127%2e0.0.1/",
        f"http://{'a' * 64}.example/",
        f"http://{'a.' * 127}aa/",
        "http://[::1/",
        "http://::1/",
        "http://[::1]x/",
        "http://[fe80::1%25eth0]/",
        "http://[v1.fe80]/",
        "http://[127.0.0.1]/",
        "http://hooks.example/" + "a" * 2048,
    ],
)
def test_what_is_not_a_plain_http_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidWebhook) as caught:
        check_url(url, ANY_PORT)
    assert caught.value.param == "webhook.url"


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.1",
        "0X7F.0.0.1",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.0x1",
        "1.2.3.4.5",
        "256.0.0.1",
        "0",
        "0x",
        "hooks.1",
        "２１３０７０６４３３",
    ],
)
def test_numbers_that_a_c_library_takes_for_an_address_are_refused(host: str) -> None:
    with pytest.raises(InvalidWebhook):
        check_url(f"http://{host}/", AddressRules((ip_network("0.0.0.0/0"),), None))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.255.255.254",
        "１２７.０.０.１",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "168.63.129.16",
        "172.16.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:a9fe:a9fe]",
        "[0:0:0:0:0:ffff:10.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::1.1.1.1]",
        "[100::1]",
        "[2001::7f00:1]",
        "[2001:db8::1]",
        "[2002:7f00:1::1]",
        "[2002:101:101::1]",
        "[3fff::1]",
        "[5f00::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
    ],
)
def test_addresses_that_are_not_public_are_forbidden(host: str) -> None:
    with pytest.raises(ForbiddenAddress, match="KC_WEBHOOK_ALLOW_PRIVATE"):
        check_url(f"http://{host}/", PUBLIC_ONLY)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.215.14", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2606:4700::1111"],
)
def test_public_addresses_are_permitted(address: str) -> None:
    assert PUBLIC_ONLY.permits(ip_address(address))


def test_a_network_the_operator_opened_is_permitted_and_no_other() -> None:
    rules = parse_rules("10.0.0.0/8, fd00::/8", "*")
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd00::1"):
        assert rules.permits(ip_address(address)), address
    for address in ("127.0.0.1", "192.168.0.1", "::1", "fe80::1", "169.254.169.254"):
        assert not rules.permits(ip_address(address)), address


@pytest.mark.parametrize("port", [22, 6379, 8080])
def test_ports_outside_the_list_are_forbidden_and_the_list_is_named(port: int) -> None:
    with pytest.raises(ForbiddenAddress, match=r"80, 443"):
        check_url(f"http://hooks.example:{port}/", PUBLIC_ONLY)


def test_rules_are_read_from_their_settings() -> None:
    assert parse_rules("", "80,443") == PUBLIC_ONLY
    assert parse_rules(" ", " * ") == ANY_PORT
    assert parse_rules("10.0.0.0/8,", "8080").ports == frozenset({8080})


@pytest.mark.parametrize(
    ("allow_private", "ports", "name"),
    [
        ("10.0.0.1/8", "80", "KC_WEBHOOK_ALLOW_PRIVATE"),
        ("home", "80", "KC_WEBHOOK_ALLOW_PRIVATE"),
        ("", "", "KC_WEBHOOK_PORTS"),
        ("", "http", "KC_WEBHOOK_PORTS"),
        ("", "0", "KC_WEBHOOK_PORTS"),
        ("", "70000", "KC_WEBHOOK_PORTS"),
    ],
)
def test_a_bad_setting_is_named(allow_private: str, ports: str, name: str) -> None:
    with pytest.raises(InvalidSettings, match=name):
        parse_rules(allow_private, ports)
