"""How long the certificates hold that servers show us: one that ends at night ends every run."""

import math
import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from pipelines.airflow_settings import airflow_setting
from pipelines.doctor.finding import Finding
from pipelines.errors import DatabaseUnavailable
from pipelines.settings import Settings

WARN_DAYS = 21
DAY_SECONDS = 24 * 3600
ANSWER_SECONDS = 2.0
# PostgreSQL's: what a client sends before anything else if it wants TLS (its length, a number for
# it), and the server's yes.
ASKS_FOR_TLS = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
AGREES = b"S"
# OpenSSL's number for a certificate whose last day is over.
EXPIRED = 10
RENEW = "Make a new one before that day: docs/deployment.md, Certificates."


@dataclass(frozen=True)
class Server:
    """Who is asked. authority: a file of certificates that are believed; None: the system's."""

    name: str
    host: str
    port: int
    authority: str | None
    is_postgresql: bool = False


def ending_certificates(installation: Settings) -> Iterator[Finding]:
    """A server whose certificate has ended, or ends soon; who does not answer is told elsewhere."""
    servers = list(_servers(installation))
    # At once: three that are away are waited for as long as one.
    with ThreadPoolExecutor() as asking:
        found = list(asking.map(_days_left_if_shown, servers))
    for server, days in zip(servers, found, strict=True):
        if days is not None and days <= 0:
            yield Finding("secrets", "fail", f"the certificate of {server.name} ended", RENEW)
        elif days is not None and days < WARN_DAYS:
            words = f"the certificate of {server.name} ends in {days:.0f} days"
            yield Finding("secrets", "warn", words, RENEW)


def _days_left_if_shown(server: Server) -> float | None:
    try:
        return days_left(server)
    except OSError:
        return None


def days_left(server: Server) -> float:
    """Until the certificate that a server shows ends, or its authority's; 0 if one has.

    Raises:
        OSError: the server does not answer, or shows a certificate that is not believed.
    """
    context = ssl.create_default_context(cafile=server.authority)
    authorities = context.get_ca_certs() if server.authority else []
    # Whose certificate it is, clients ask by themselves: here it is asked for its days alone.
    context.check_hostname = False
    address = (server.host, server.port)
    try:
        with socket.create_connection(address, timeout=ANSWER_SECONDS) as plain:
            if server.is_postgresql:
                plain.sendall(ASKS_FOR_TLS)
                if plain.recv(1) != AGREES:
                    raise ConnectionError("the server speaks no TLS")
            with context.wrap_socket(plain, server_hostname=server.host) as speaking:
                shown = speaking.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == EXPIRED:
            return 0.0
        raise
    # Of an authority that was made anew, the old certificate may stand beside the new one.
    signed_by = [_end(each) for each in authorities if each["subject"] == shown["issuer"]]
    ends = min([_end(shown), max(signed_by, default=math.inf)])
    return max(0.0, (ends - time.time()) / DAY_SECONDS)


def _end(certificate: Mapping[str, object]) -> float:
    return ssl.cert_time_to_seconds(str(certificate["notAfter"]))


def _servers(installation: Settings) -> Iterator[Server]:
    with suppress(DatabaseUnavailable, ProgrammingError, ValueError):
        parts = conninfo_to_dict(installation.database_url or "")
        if str(parts.get("sslmode", "")).startswith("verify"):
            authority = str(parts.get("sslrootcert") or "") or None
            host, port = str(parts.get("host")), int(parts.get("port") or 5432)
            yield Server("the predictions' database", host, port, authority, is_postgresql=True)
    page = urlsplit(os.environ.get("EQUIPOISE_HEALTH_URL", ""))
    if page.scheme == "https" and page.hostname:
        authority = os.environ.get("AIRFLOW__API__SSL_CA_FILE") or None
        yield Server("the api-server", page.hostname, page.port or 443, authority)
    broker = urlsplit(airflow_setting("AIRFLOW__CELERY__BROKER_URL", ANSWER_SECONDS))
    if broker.scheme == "rediss" and broker.hostname:
        asked = dict(parse_qsl(broker.query))
        yield Server("the broker", broker.hostname, broker.port or 6379, asked.get("ssl_ca_certs"))
