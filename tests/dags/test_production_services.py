"""What a service needs in production is its own, and nothing goes past what was checked."""

import os
import shlex
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
import yaml

from dags.production_configuration import NO_METADATA
from tests.compose.stack import BY_HAND, OURS
from tests.dags.installations import ROOT, python
from tests.dags.production_installation import (
    COMMANDS,
    METADATA_COMMANDS,
    PATTERN,
    SOUND,
    VERIFIED,
    Installation,
)

SUPERUSER = f"postgres:{PATTERN.format('s')}@postgres:5432/postgres"
PREDICTIONS_FILE, SUPERUSER_FILE = "EQUIPOISE_DATABASE_URL_FILE", "EQUIPOISE_SUPERUSER_URL_FILE"
ZEROS = urlsafe_b64encode(bytes(32)).decode()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROD = yaml.safe_load((ROOT / "docker-compose.prod.yml").read_text())
WORKER = "airflow celery worker --queues default"
INIT = "python -m dags.cluster init"


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    return Installation(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("unset", "who", "who_not"),
    [
        ("EQUIPOISE_DATABASE_URL_FILE", WORKER, "airflow scheduler"),
        ("EQUIPOISE_DATABASE_URL_FILE", "equipoise backup", "airflow api-server"),
        ("AIRFLOW__CORE__FERNET_KEY_CMD", "airflow triggerer", WORKER),
        ("AIRFLOW__API_AUTH__JWT_SECRET_CMD", "python -m dags.cluster init", WORKER),
        ("AIRFLOW__CELERY__BROKER_URL_CMD", WORKER, "equipoise backup"),
        ("AIRFLOW__CELERY__RESULT_BACKEND_CMD", WORKER, "equipoise backup"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", "airflow scheduler", WORKER),
        ("AIRFLOW__API__SSL_CERT", 'sh -c "airflow api-server"', "airflow scheduler"),
        ("AIRFLOW__API__SSL_CERT", "airflow standalone", WORKER),
        ("AIRFLOW__API__SSL_CERT", "airflow", "airflow dag-processor"),
    ],
)
def test_a_service_needs_what_it_uses_and_a_command_that_is_not_known_needs_all(
    installation: Installation, unset: str, who: str, who_not: str
) -> None:
    installation.unset(unset)
    assert {place for place, _ in installation.refused(who)} == {
        unset.removesuffix("_CMD"),
    }
    assert installation.refused(who_not) == []


@pytest.mark.parametrize("service", [*OURS, *BY_HAND])
def test_what_docker_compose_gives_a_service_in_production_is_safe(
    installation: Installation, service: str
) -> None:
    for name in COMMANDS:
        installation.unset(name)
    for name in ("EXECUTION_API_SERVER_URL", "AUTH_MANAGER"):
        installation.unset(f"AIRFLOW__CORE__{name}")
    for name in ("AIRFLOW__API__SSL_CERT", "AIRFLOW__API__SSL_KEY", "EQUIPOISE_DATABASE_URL_FILE"):
        installation.unset(name)
    secrets = installation.folder / "cluster"
    make = [str(ROOT / "docker" / "make_secrets.py"), str(secrets), "--tls"]
    assert python(*make, env=dict(os.environ))[0] == 0
    for name, value in _given(service).items():
        at_home = value.replace("/run/secrets/", f"{secrets}/")
        installation.set(name, at_home.replace("/run/tls/", f"{installation.folder}/"))
    installation.write("api-server.key", "a private key")
    for name in ("alert_webhook", "alert_smtp"):
        (secrets / name).symlink_to(os.devnull)
    words = COMPOSE["services"][service]["command"]
    assert installation.refused(shlex.join(words)) == []


def _given(service: str) -> dict[str, str]:
    """The variables of a service as Compose joins them; what the machine is to say is left out."""
    # One without a value is the machine's too.
    lines = (ROOT / "docker" / "airflow.env").read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    for file in (COMPOSE, PROD):
        found |= file["services"][service]["environment"]
    said = {name: str(value) for name, value in found.items() if value is not None}
    return {name: value for name, value in said.items() if "${" not in value}


def _changed(file: str, more: str) -> tuple[str, str]:
    return file, f"{SOUND[file]}&{more}"


MORE = "asks for more than TLS"


@pytest.mark.parametrize(
    ("written", "where", "cause"),
    [
        (_changed("broker_url", "ssl_check_hostname=false"), "AIRFLOW__CELERY__BROKER_URL", MORE),
        (_changed("predictions_url", "user=postgres"), PREDICTIONS_FILE, MORE),
        (_changed("predictions_url", "user=postgres"), PREDICTIONS_FILE, "work of two"),
        (_changed("predictions_url", "password=postgres"), PREDICTIONS_FILE, "with an image"),
        (_changed("predictions_url", "hostaddr=10.0.0.1"), PREDICTIONS_FILE, MORE),
        (
            ("predictions_url", SOUND["predictions_url"].replace("pipeline", "results")),
            PREDICTIONS_FILE,
            "work of two",
        ),
        (
            ("fernet_key", f"{ZEROS},{SOUND['fernet_key']}"),
            "AIRFLOW__CORE__FERNET_KEY",
            "can be guessed",
        ),
        (
            ("fernet_key", f"{SOUND['fernet_key']},{ZEROS}"),
            "AIRFLOW__CORE__FERNET_KEY",
            "can be guessed",
        ),
        (("superuser_url", f"postgresql://{SUPERUSER}?{VERIFIED}"), SUPERUSER_FILE, ""),
        (("superuser_url", f"postgresql://{SUPERUSER}"), SUPERUSER_FILE, "without TLS"),
        (
            ("superuser_url", f"postgresql://postgres:postgres@postgres/postgres?{VERIFIED}"),
            SUPERUSER_FILE,
            "with an image",
        ),
    ],
)
def test_an_address_or_key_that_looks_sound_is_read_as_its_client_reads_it(
    installation: Installation, written: tuple[str, str], where: str, cause: str
) -> None:
    installation.write(*written)
    if written[0] == "superuser_url":
        installation.set(SUPERUSER_FILE, str(installation.folder / "superuser_url"))
    who = INIT if written[0] == "superuser_url" else WORKER
    found = {place for place, said in installation.refused(who) if cause in said}
    assert found == ({where} if cause else set())


@pytest.mark.parametrize(
    ("command", "may"),
    [
        (INIT, True),
        ("equipoise restore /backups/first --secrets /backups-of-keys/first", True),
        ("equipoise restored", False),
        ("equipoise backup /backups/first", False),
        ("equipoise", False),
        ("sh -c 'equipoise restore /backups/first'", False),
        ("python -m dags.cluster", False),
        ("airflow scheduler", False),
        (WORKER, False),
    ],
)
def test_the_superusers_login_is_for_who_makes_roles_and_for_no_other_command(
    installation: Installation, command: str, may: bool
) -> None:
    assert installation.refused(command) == []
    installation.write("superuser_url", f"postgresql://{SUPERUSER}?{VERIFIED}")
    installation.set(SUPERUSER_FILE, str(installation.folder / "superuser_url"))
    cause = "The superuser's login is given to a command that has no use for it."
    assert installation.refused(command) == ([] if may else [(SUPERUSER_FILE, cause)])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", "cat {}/metadata_url"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC_CMD", "cat {}/metadata_url"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", SOUND["metadata_url"]),
    ],
)
def test_a_worker_that_knows_the_metadata_is_refused(
    installation: Installation, name: str, value: str
) -> None:
    for each in METADATA_COMMANDS:
        installation.unset(each)
    installation.set("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", NO_METADATA)
    assert installation.refused_as_it_is(WORKER) == []
    installation.set(name, value.format(installation.folder))
    cause = "A worker is given the login of Airflow's metadata, and has no use for it."
    assert (name.removesuffix("_CMD"), cause) in installation.refused_as_it_is(WORKER)


def test_whoever_needs_the_metadata_is_refused_the_word_that_there_is_none(
    installation: Installation,
) -> None:
    installation.unset("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD")
    installation.set("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", NO_METADATA)
    refused = installation.refused("airflow scheduler")
    assert {place for place, _ in refused} == {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"}
    assert any("No PostgreSQL is named" in said for _, said in refused)


@pytest.mark.parametrize(
    ("name", "value", "cause", "command"),
    [
        (
            "AIRFLOW__CELERY__RESULT_BACKEND_SQLALCHEMY_ENGINE_OPTIONS",
            '{"connect_args": {"sslmode": "disable"}}',
            "take back",
            WORKER,
        ),
        (
            "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG",
            '{"broker_use_ssl": {"ssl_cert_reqs": 0}}',
            "take back",
            WORKER,
        ),
        ("AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS", "own.CONFIG", "take back", WORKER),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS", "own.ARGS", "take back", WORKER),
        ("AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__SSL", "{}", "take back", WORKER),
        ("AIRFLOW__CORE__FERNET_KEY_CMD", f"echo {'x' * 44}", "cat FILE", WORKER),
        ("AIRFLOW__API__SECRET_KEY_CMD", "head -c 100 /etc/hostname", "cat FILE", WORKER),
        ("AIRFLOW__API__EXPOSE_CONFIG", "True", "shows the settings", "airflow api-server"),
    ],
)
def test_what_goes_past_the_addresses_and_files_is_refused(
    installation: Installation, name: str, value: str, cause: str, command: str
) -> None:
    installation.set(name, value)
    assert name in {place for place, said in installation.refused(command) if cause in said}


def test_a_host_in_the_command_or_of_the_page_excuses_nothing_else(
    installation: Installation,
) -> None:
    installation.unset("AIRFLOW__API__SSL_CERT")
    installation.set("AIRFLOW__API__HOST", "127.0.0.1")
    for listens in ("--host 0.0.0.0", "--host=0.0.0.0", "-H 0.0.0.0"):
        [(place, _)] = installation.refused(f"airflow api-server {listens}")
        assert place == "AIRFLOW__API__SSL_CERT"
    installation.set("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://api-server:8080/execution/")
    [(place, _)] = installation.refused(WORKER)
    assert place == "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
