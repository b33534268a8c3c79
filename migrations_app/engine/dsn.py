"""Where a server is and how to log in, parsed from a DSN or filled in by a caller."""

from __future__ import annotations

import dataclasses
import enum
import urllib.parse

from migrations_app.engine.errors import RefusedError

DEFAULT_PORT = 3306


class TlsMode(enum.StrEnum):
    """How far a connection insists on TLS; the names are MySQL's ``ssl_mode``."""

    DISABLED = "disabled"
    PREFERRED = "preferred"
    REQUIRED = "required"
    VERIFY_CA = "verify-ca"
    VERIFY_IDENTITY = "verify-identity"


@dataclasses.dataclass(frozen=True, slots=True)
class Dsn:
    """A MySQL account at an address, with the schema that holds the tables.

    ``repr`` and ``str`` never show the password. answer_secs: how long to wait for a connection
    and for each answer before the server counts as lost; None: ten seconds, and for ever. For
    questions only: a statement that changes something may take its time.
    """

    host: str
    port: int
    user: str
    password: str = dataclasses.field(repr=False)
    database: str
    tls_mode: TlsMode = TlsMode.PREFERRED
    tls_ca_file: str = ""
    answer_secs: int | None = None

    @property
    def tcp_host(self) -> str:
        """Where to connect: "localhost" is a socket to some client libraries, and may have two
        addresses, with two servers."""
        return "127.0.0.1" if self.host == "localhost" else self.host

    def __str__(self) -> str:
        return f"mysql://{self.user}@{self.host}:{self.port}/{self.database}"

    @classmethod
    def parse(cls, text: str) -> Dsn:
        """Read ``mysql://user:password@host:port/schema?tls=required&ca=/path``.

        User, password and schema may be percent-encoded. Raises RefusedError with a message
        that does not repeat the password.
        """
        usage = "A DSN looks like mysql://user:password@host:3306/schema."
        try:
            parts = urllib.parse.urlsplit(text)
            port = parts.port or DEFAULT_PORT
        except ValueError:
            raise RefusedError(f"The DSN could not be read. {usage}") from None
        if parts.scheme != "mysql":
            raise RefusedError(f"The DSN must begin with mysql://. {usage}")
        schema = urllib.parse.unquote(parts.path.lstrip("/"))
        if not parts.hostname or not parts.username or not schema:
            raise RefusedError(f"The DSN must name a user, a host and a schema. {usage}")
        query = dict(urllib.parse.parse_qsl(parts.query))
        try:
            tls_mode = TlsMode(query.get("tls", TlsMode.PREFERRED))
        except ValueError:
            modes = ", ".join(TlsMode)
            raise RefusedError(
                f"tls={query['tls']} is not a TLS mode; use one of {modes}."
            ) from None
        return cls(
            host=parts.hostname,
            port=port,
            user=urllib.parse.unquote(parts.username),
            password=urllib.parse.unquote(parts.password or ""),
            database=schema,
            tls_mode=tls_mode,
            tls_ca_file=query.get("ca", ""),
        )
