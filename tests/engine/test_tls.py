"""What a target's TLS mode promises holds for every connection, whatever the server offers."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import ipaddress
import pathlib
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from migrations_app.engine.dsn import Dsn, TlsMode
from migrations_app.engine.errors import RefusedError, ServerLostError
from migrations_app.engine.session import Session, connect
from playground.server import PrivateServer
from tests.conftest import Schema
from tests.engine.support import ELSEWHERE

SMALL = {"innodb-buffer-pool-size": "64M", "performance_schema": "OFF"}
INSISTING = [TlsMode.REQUIRED, TlsMode.VERIFY_CA, TlsMode.VERIFY_IDENTITY]


@pytest.fixture(scope="module")
def without_tls() -> Iterator[Dsn]:
    """Root's account on a server that offers no TLS."""
    with PrivateServer(options=SMALL | {"tls-version": ""}) as server:
        yield Dsn.parse(server.root_dsn("mysql"))


def is_encrypted(dsn: Dsn) -> bool:
    session = Session(dsn, "test", "")
    try:
        return bool(session.query_one("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[1])
    finally:
        session.close()


@pytest.mark.parametrize(
    "mode, host, encrypted",
    [
        (TlsMode.DISABLED, ELSEWHERE, False),
        (TlsMode.PREFERRED, ELSEWHERE, True),
        (TlsMode.PREFERRED, "127.0.0.1", False),
        (TlsMode.PREFERRED, "localhost", False),
        (TlsMode.REQUIRED, ELSEWHERE, True),
        (TlsMode.REQUIRED, "localhost", True),
    ],
)
def test_what_is_encrypted(schema: Schema, mode: TlsMode, host: str, encrypted: bool) -> None:
    assert is_encrypted(dataclasses.replace(schema.dsn, tls_mode=mode, host=host)) is encrypted


def test_a_certificate_without_a_host_is_right_where_only_its_authority_is_asked(
    schema: Schema, other_files: Files
) -> None:
    """MySQL's own: a CA file is asked in every mode that encrypts."""
    own, other = str(schema.server.data_folder / "ca.pem"), other_files.authority
    for mode in (TlsMode.PREFERRED, TlsMode.REQUIRED):
        dsn = dataclasses.replace(schema.dsn, host=ELSEWHERE, tls_mode=mode)
        assert is_encrypted(dataclasses.replace(dsn, tls_ca_file=own))
        for wrong in (other, "/nonexistent"):
            with pytest.raises(RefusedError, match=r"TLS to .* failed"):
                connect(dataclasses.replace(dsn, tls_ca_file=wrong))
    for mode in (TlsMode.VERIFY_CA, TlsMode.VERIFY_IDENTITY):
        with pytest.raises(RefusedError, match=r"TLS to .* failed"):
            connect(dataclasses.replace(schema.dsn, tls_mode=mode, tls_ca_file=own))


@pytest.mark.parametrize("mode", [TlsMode.VERIFY_CA, TlsMode.VERIFY_IDENTITY])
def test_a_certificate_of_this_host(
    with_own_files: Dsn, own_files: Files, other_files: Files, mode: TlsMode
) -> None:
    dsn = dataclasses.replace(with_own_files, tls_mode=mode)
    assert is_encrypted(dataclasses.replace(dsn, tls_ca_file=own_files.authority))
    for wrong in ("", other_files.authority):
        with pytest.raises(RefusedError, match=r"TLS to .* failed"):
            connect(dataclasses.replace(dsn, tls_ca_file=wrong))


@dataclasses.dataclass(frozen=True)
class Files:
    """An authority's certificate, and a server's that it has signed, of 127.0.0.1, with its key."""

    authority: str
    certificate: str
    key: str

    @classmethod
    def made(cls, folder: pathlib.Path) -> Files:
        key, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        authority = _certificate(
            "authority", key, "authority", key, x509.BasicConstraints(True, None)
        )
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = _certificate("server", own, "authority", key, here)
        private = own.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        files = cls(*(str(folder / name) for name in ("ca.pem", "server.pem", "key.pem")))
        for path, text in zip(
            dataclasses.astuple(files), (authority, certificate, private), strict=True
        ):
            pathlib.Path(path).write_bytes(text)
        return files


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signer: str,
    signed_with: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> bytes:
    subject, issuer = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, signer)
    )
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(),
        now - datetime.timedelta(days=1), now + datetime.timedelta(days=1),
    )  # fmt: skip
    certificate = builder.add_extension(extension, critical=True).sign(signed_with, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def own_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files.made(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def other_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files.made(tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def with_own_files(own_files: Files) -> Iterator[Dsn]:
    """Root's account on a server with that certificate."""
    options = {
        "ssl-ca": own_files.authority,
        "ssl-cert": own_files.certificate,
        "ssl-key": own_files.key,
    }
    with PrivateServer(options=SMALL | options) as server:
        yield Dsn.parse(server.root_dsn("mysql"))


def test_within_one_machine_preferred_encrypts_what_must_be(schema: Schema) -> None:
    schema.execute("CREATE USER demanding IDENTIFIED BY 'secret' REQUIRE SSL")
    schema.execute(f"GRANT ALL ON `{schema.name}`.* TO demanding")
    try:
        dsn = dataclasses.replace(schema.dsn, user="demanding", password="secret")
        assert is_encrypted(dsn)
        with pytest.raises(RefusedError, match="refused the account"):
            connect(dataclasses.replace(dsn, password="wrong"))
    finally:
        schema.execute("DROP USER demanding")


def test_a_server_that_takes_encrypted_connections_only(schema: Schema) -> None:
    schema.execute("SET GLOBAL require_secure_transport = ON")
    try:
        assert is_encrypted(schema.dsn)
        with pytest.raises(RefusedError, match="takes encrypted connections only"):
            connect(dataclasses.replace(schema.dsn, tls_mode=TlsMode.DISABLED))
    finally:
        schema.execute("SET GLOBAL require_secure_transport = OFF")


@pytest.mark.parametrize("mode", INSISTING)
def test_where_no_tls_is_offered_who_insists_sends_nothing(without_tls: Dsn, mode: TlsMode) -> None:
    """Not even the login: a server that does not remember the password asks for it, and Connector/C
    would send it as it is."""
    forget_passwords(without_tls)
    with pytest.raises(RefusedError, match=r"offers no TLS.*Nothing was sent"):
        connect(dataclasses.replace(without_tls, tls_mode=mode))


@pytest.mark.parametrize("host", [ELSEWHERE, "127.0.0.1"])
def test_where_no_tls_is_offered_preferred_does_without(without_tls: Dsn, host: str) -> None:
    forget_passwords(without_tls)
    assert not is_encrypted(dataclasses.replace(without_tls, host=host))


def forget_passwords(dsn: Dsn) -> None:
    with contextlib.closing(connect(dsn)) as connection:
        connection.query(b"FLUSH PRIVILEGES")


@pytest.mark.parametrize("mode", [TlsMode.REQUIRED, TlsMode.VERIFY_IDENTITY])
def test_a_greeting_that_is_an_error_says_nothing_about_tls(
    without_tls: Dsn, mode: TlsMode
) -> None:
    plain = dataclasses.replace(without_tls, tls_mode=TlsMode.DISABLED)
    # The second has the place that is kept for an administrator.
    with (
        contextlib.closing(Session(plain, "test", "")) as session,
        contextlib.closing(connect(plain)),
    ):
        session.query("SET GLOBAL max_connections = 1")
        try:
            with pytest.raises(ServerLostError, match="Too many connections"):
                connect(dataclasses.replace(without_tls, tls_mode=mode))
        finally:
            session.query("SET GLOBAL max_connections = DEFAULT")


def test_a_server_that_is_not_there_is_asked_once_and_lost(without_tls: Dsn) -> None:
    with pytest.raises(ServerLostError):
        connect(dataclasses.replace(without_tls, port=1))
