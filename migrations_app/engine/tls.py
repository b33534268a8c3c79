"""How each client library is told what a DSN says about TLS.

*Preferred* is MySQL's word for "when the server offers it". mysqlclient on MariaDB's Connector/C
3.3 encrypts nothing then; told to encrypt, it goes on without where the server offers no TLS, in
mode *required*, too, and answers the server's question for the password with the password as it
is. So the server's greeting is read first (``is_offered``).

Within one machine *preferred* encrypts nothing, as MySQL's own clients do on a socket, unless the
server demands it: a run reads as much of the binary log as it copies, and encrypting that took
half a second of CPU for a million rows (docs/benchmarks.md).
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, TypeVar

import MySQLdb
import pymysql
from MySQLdb.constants import CLIENT, CR, ER

from migrations_app.engine.dsn import Dsn, TlsMode

T = TypeVar("T")

SECURE_TRANSPORT_REQUIRED = 3159
# An account with REQUIRE SSL is told the same as one with a wrong password. The last: a server
# without RSA keys, which takes a password that it does not remember over TLS only.
_DEMANDS = {ER.ACCESS_DENIED_ERROR, SECURE_TRANSPORT_REQUIRED, CR.AUTH_PLUGIN_ERR}
_VERIFIES = {TlsMode.VERIFY_CA, TlsMode.VERIFY_IDENTITY}
_MUST_ENCRYPT = {TlsMode.REQUIRED} | _VERIFIES
_REMEMBERED_SECS = 60.0
_PROTOCOL, _ERROR = b"\x0a", b"\xff"
_HEADER_BYTES = 4
# Between the version's end and the capabilities: session number, a part of the scramble, a filler.
_TO_CAPABILITIES = 4 + 8 + 1

_offers: dict[tuple[str, int], tuple[float, bool]] = {}


class NotOfferedError(Exception):
    """The mode insists on TLS, and the server offers none. Nothing was sent."""


def connected(dsn: Dsn, connect: Callable[[TlsMode], T]) -> T:
    """What ``connect`` returns for the first mode in which the server takes the connection."""
    if dsn.tls_mode is TlsMode.PREFERRED and _is_this_machine(dsn.host):
        try:
            return connect(TlsMode.DISABLED)
        except (MySQLdb.Error, pymysql.Error) as error:
            if not error.args or error.args[0] not in _DEMANDS:
                raise
    return connect(dsn.tls_mode)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def mysqlclient_settings(dsn: Dsn, mode: TlsMode, timeout_secs: float) -> dict[str, Any]:
    """Arguments for MySQLdb.connect. May ask the server: NotOfferedError or MySQLdb.Error."""
    if mode in _MUST_ENCRYPT:
        _require_offer(dsn, timeout_secs)
    elif mode is TlsMode.PREFERRED and is_offered(dsn, timeout_secs) is False:
        mode = TlsMode.DISABLED
    if mode is TlsMode.DISABLED:
        return {"ssl_mode": "DISABLED"}
    # Any of these switches TLS on; this one is what holds anyway.
    files = {"cipher": "DEFAULT"}
    if dsn.tls_ca_file or mode in _VERIFIES:
        files["ca"] = dsn.tls_ca_file or ssl.get_default_verify_paths().cafile or ""
    if mode is TlsMode.PREFERRED:
        return {"ssl": files}
    return {"ssl": files, "ssl_mode": mode.value.upper().replace("-", "_")}


def _require_offer(dsn: Dsn, timeout_secs: float) -> None:
    """Asked anew each time. Raises NotOfferedError, or the error with which the server greets."""
    try:
        greeting = _greeting((dsn.tcp_host, dsn.port), timeout_secs)
    except OSError as error:
        raise MySQLdb.OperationalError(CR.CONN_HOST_ERROR, str(error)) from error
    if greeting[:1] == _ERROR:
        code, text = int.from_bytes(greeting[1:3], "little"), greeting[3:].decode(errors="replace")
        raise MySQLdb.OperationalError(code, text)
    if greeting[:1] != _PROTOCOL:
        raise MySQLdb.OperationalError(CR.SERVER_LOST, "it ended the connection unasked")
    if not _offers_tls(greeting):
        raise NotOfferedError


def is_offered(dsn: Dsn, timeout_secs: float) -> bool | None:
    """Whether the server's greeting offers TLS, as seen within the last minute; None: it greets
    with an error, or not at all."""
    address = (dsn.tcp_host, dsn.port)
    seen_at, offered = _offers.get(address, (0.0, False))
    if seen_at and time.monotonic() - seen_at < _REMEMBERED_SECS:
        return offered
    try:
        greeting = _greeting(address, timeout_secs)
    except OSError:
        return None
    if greeting[:1] != _PROTOCOL:
        return None
    offered = _offers_tls(greeting)
    _offers[address] = (time.monotonic(), offered)
    return offered


def _offers_tls(greeting: bytes) -> bool:
    at = greeting.find(b"\0", 1) + 1 + _TO_CAPABILITIES
    capabilities = int.from_bytes(greeting[at : at + 2], "little")
    return bool(capabilities & CLIENT.SSL)


def _greeting(address: tuple[str, int], timeout_secs: float) -> bytes:
    """The first packet that a server sends, without its header."""
    with socket.create_connection(address, timeout_secs) as sock, sock.makefile("rb") as stream:
        length = int.from_bytes(stream.read(_HEADER_BYTES)[:3], "little")
        return stream.read(length)


def pymysql_settings(dsn: Dsn, mode: TlsMode) -> dict[str, Any]:
    """Arguments for pymysql.connect."""
    if mode is TlsMode.DISABLED:
        return {"ssl_disabled": True}
    if mode is TlsMode.PREFERRED:
        return {}  # PyMySQL 1.2 has this mode
    verifies = mode in _VERIFIES
    context = ssl.create_default_context(cafile=dsn.tls_ca_file or None if verifies else None)
    # MySQL's own self-made certificates lack the key usage that the strict checks ask for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = mode is TlsMode.VERIFY_IDENTITY
    context.verify_mode = ssl.CERT_REQUIRED if verifies else ssl.CERT_NONE
    return {"ssl": context}
