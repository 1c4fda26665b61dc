"""A Redis that speaks TLS only, asks for certificates, and knows this cluster's users."""

import datetime
import ipaddress
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.redis_server import RedisNotStarted, RedisServer
from tests.conftest import free_port

ROOT = Path(__file__).parents[3]
USERS = ROOT / "deploy" / "redis" / "users.acl"
FETCHED = ROOT / ".venv" / "redis-with-tls" / "redis-server"
ADMIN = "nobody-but-the-tests"


def programs() -> list[str]:
    """Return servers that may have been built with TLS."""
    found = [shutil.which(name) for name in ("valkey-server", "redis-server")]
    return [*([str(FETCHED)] if FETCHED.is_file() else []), *filter(None, found)]


@dataclass(frozen=True)
class Authority:
    """Who signs certificates, and the folder they are written into."""

    folder: Path
    name: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, folder: Path, name: str) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, name, key, key, x509.BasicConstraints(True, None))
        made = cls(folder, name, key, certificate)
        made.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return made

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def sign(self, name: str) -> tuple[Path, Path]:
        """Write a certificate for loopback and its key; return both files."""
        key = ec.generate_private_key(ec.SECP256R1())
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        certificate = _certificate(
            name, self.name, key, self.key, x509.SubjectAlternativeName([loopback])
        )
        cert, private = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return cert, private


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (subject, issuer)]
    return (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(extension, critical=False)
        .sign(signer, hashes.SHA256())
    )


@dataclass(frozen=True)
class SecureRedis:
    """The running server, and how each user reaches it."""

    server: RedisServer
    ca: Path
    cert: Path
    key: Path
    passwords: dict[str, str]

    def url(self, user: str) -> str:
        """Return an address without the files for TLS."""
        return f"rediss://{user}:{self.passwords[user]}@127.0.0.1:{self.server.port}/0"

    def settings(self, user: str) -> dict[str, str]:
        """Return the settings of a process that logs in as this user."""
        return {
            "redis_url": self.url(user),
            "redis_ca_file": str(self.ca),
            "redis_cert_file": str(self.cert),
            "redis_key_file": str(self.key),
        }

    def client(self, user: str) -> redis.Redis:
        """Return a client made without any code of the cluster's."""
        return redis.Redis.from_url(
            self.url(user),
            ssl_ca_certs=str(self.ca),
            ssl_certfile=str(self.cert),
            ssl_keyfile=str(self.key),
        )


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureRedis]:
    """One server for all tests of this folder; it has no port without TLS."""
    folder = tmp_path_factory.mktemp("secure-redis")
    authority = Authority.make(folder, "authority")
    cert, key = authority.sign("redis")
    own_cert, own_key = authority.sign("cluster")
    acl, passwords = users(folder)
    port = free_port()
    options = {
        "port": "0",
        "tls-port": str(port),
        "tls-cert-file": str(cert),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(authority.path),
        "tls-auth-clients": "yes",
        "aclfile": str(acl),
    }
    query = f"ssl_ca_certs={authority.path}&ssl_certfile={own_cert}&ssl_keyfile={own_key}"
    url = f"rediss://admin:{ADMIN}@127.0.0.1:{port}/0?{query}"
    for program in programs():
        server = RedisServer(folder / "redis", port, program=program, url=url, options=options)
        try:
            server.start()
        except RedisNotStarted:
            continue
        yield SecureRedis(server, authority.path, own_cert, own_key, passwords)
        server.stop()
        return
    pytest.skip("no Redis with TLS: tests/integration/secure_redis/fetch_redis.sh fetches one")


def users(folder: Path) -> tuple[Path, dict[str, str]]:
    """Write the shipped file with passwords filled in, and an administrator for the tests."""
    passwords: dict[str, str] = {"admin": ADMIN}

    def fill_in(line: re.Match[str]) -> str:
        passwords[line[1]] = word = f"word-of-{line[1]}"
        return f"user {line[1]} on #{sha256(word.encode()).hexdigest()} "

    text = re.sub(r"user (\S+) on #0{64} ", fill_in, USERS.read_text())
    path = folder / "users.acl"
    path.write_text(f"{text}user admin on >{ADMIN} ~* &* +@all\n")
    return path, passwords
