"""The doctor and the last day of certificates, of servers that really show them."""

import shlex
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pipelines.doctor.folders import secrets
from pipelines.settings import settings
from tests.publication.tls import Authority, door, make_authority

DAY_HOURS = 24.0
YEAR_HOURS = 365 * DAY_HOURS
Named = Callable[[int, Authority, pytest.MonkeyPatch], None]


def _the_database(port: int, ours: Authority, patch: pytest.MonkeyPatch) -> None:
    query = f"sslmode=verify-full&sslrootcert={ours.certificate}"
    url = f"postgresql://ada:guarded@localhost:{port}/x?{query}"
    patch.setenv("EQUIPOISE_DATABASE_URL_FILE", _written(ours, "predictions_url", url))


def _the_broker(port: int, ours: Authority, patch: pytest.MonkeyPatch) -> None:
    query = f"ssl_cert_reqs=required&ssl_ca_certs={ours.certificate}"
    url = f"rediss://ada:guarded@localhost:{port}/0?{query}"
    command = shlex.join(["cat", _written(ours, "broker_url", url)])
    patch.setenv("AIRFLOW__CELERY__BROKER_URL_CMD", command)


def _the_page(port: int, ours: Authority, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("EQUIPOISE_HEALTH_URL", f"https://localhost:{port}/api/v2/monitor/health")
    patch.setenv("AIRFLOW__API__SSL_CA_FILE", str(ours.certificate))


def _written(ours: Authority, name: str, url: str) -> str:
    file = ours.certificate.with_name(name)
    file.touch(0o600)
    file.write_text(url)
    return str(file)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of these answer, or refuse at once: on a busy machine that may take a while."""
    monkeypatch.setattr("pipelines.doctor.certificates.ANSWER_SECONDS", 30.0)


NAMED = [
    pytest.param(_the_database, "the predictions' database", id="database"),
    pytest.param(_the_broker, "the broker", id="broker"),
    pytest.param(_the_page, "the api-server", id="page"),
]


@pytest.mark.parametrize(("named", "name"), NAMED)
@pytest.mark.parametrize(
    ("hours", "authority_hours", "state", "said"),
    [
        (YEAR_HOURS, YEAR_HOURS, "ok", "readable by their owner alone"),
        (10.1 * DAY_HOURS, YEAR_HOURS, "warn", "the certificate of {} ends in 10 days"),
        (YEAR_HOURS, 10.1 * DAY_HOURS, "warn", "the certificate of {} ends in 10 days"),
        (-1.0, YEAR_HOURS, "fail", "the certificate of {} ended"),
        (YEAR_HOURS, -1.0, "fail", "the certificate of {} ended"),
    ],
)
def test_a_certificate_that_ends_is_told_before_and_after(
    named: Named,
    name: str,
    hours: float,
    authority_hours: float,
    state: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = make_authority(tmp_path, "ours", hours=hours, authority_hours=authority_hours)
    shown = door(tmp_path / "nobody", ours) if named is _the_database else _web(ours)
    with shown as (port, _):
        named(port, ours, monkeypatch)
        found = secrets(settings())
    assert (found.state, said.format(name) in found.words) == (state, True)
    assert ("docs/deployment.md" in found.remedy) == (state != "ok")
    assert "guarded" not in found.words + found.remedy


def test_an_authority_that_ended_and_signs_no_longer_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = make_authority(tmp_path, "before", authority_hours=-1.0)
    ours = make_authority(tmp_path, "ours", hours=YEAR_HOURS, authority_hours=YEAR_HOURS)
    both = before.certificate.read_text() + ours.certificate.read_text()
    ours.certificate.write_text(both)
    with _web(ours) as (port, _):
        _the_page(port, ours, monkeypatch)
        assert secrets(settings()).state == "ok"


@pytest.mark.parametrize(("named", "name"), NAMED)
def test_who_is_away_or_shows_anothers_certificate_is_told_by_the_checks_that_ask_it(
    named: Named, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = (make_authority(tmp_path, each, hours=-1.0) for each in ("ours", "theirs"))
    trusted = Authority(ours.certificate, theirs.chain)
    shown = door(tmp_path / "nobody", trusted) if named is _the_database else _web(trusted)
    with shown as (port, _):
        named(port, trusted, monkeypatch)
        assert secrets(settings()).state == "ok"
    assert secrets(settings()).state == "ok"


@contextmanager
def _web(authority: Authority) -> Iterator[tuple[int, list[bytes]]]:
    """A port that shows the certificate to whoever comes, and says nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.chain)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def show() -> None:
            with suppress(OSError):
                client, _ = listening.accept()
                client.settimeout(20)
                with client, context.wrap_socket(client, server_side=True) as speaking:
                    speaking.recv(1)

        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        yield listening.getsockname()[1], []
        thread.join(20)
