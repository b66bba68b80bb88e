"""An address of a database or broker, read as the client reads it that gets it."""

from urllib.parse import parse_qsl, unquote, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

# What an address may ask for. Others name another host or login, or take TLS back.
DATABASE_QUERY = {
    "sslmode",
    "sslrootcert",
    "sslcrl",
    "sslcert",
    "sslkey",
    "application_name",
    "connect_timeout",
}
BROKER_QUERY = {"ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}


def is_postgresql(address: str) -> bool:
    """Of libpq, or of a driver or result backend of SQLAlchemy's."""
    return _plain(address).startswith(("postgresql://", "postgres://"))


def asked(address: str, name: str) -> str:
    """What an address asks for; empty if it stands there twice, as clients take either."""
    values = [value for key, value in _query(address) if key == name]
    return values[0] if len(values) == 1 else ""


def asks_for_more(address: str, known: set[str]) -> bool:
    """Whether an address asks for anything else than what is known to be safe."""
    return any(key not in known for key, _ in _query(address))


def login(address: str) -> tuple[str, str]:
    """Name and password; of a PostgreSQL as libpq takes them, its query before its beginning."""
    if is_postgresql(address):
        try:
            parts = conninfo_to_dict(_plain(address))
        except ProgrammingError:
            return "", ""
        return str(parts.get("user") or ""), str(parts.get("password") or "")
    split = urlsplit(address)
    return unquote(split.username or ""), unquote(split.password or "")


def _query(address: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(address).query, keep_blank_values=True)


def _plain(address: str) -> str:
    """libpq's form of an address that names a driver, or a result backend."""
    scheme, _, rest = address.partition("://")
    return f"{scheme.removeprefix('db+').partition('+')[0]}://{rest}"
