"""Each setting that is unsafe in production is refused, whatever else is right."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dags.production import main
from tests.dags.installations import python
from tests.dags.production_installation import (
    BROKER,
    METADATA,
    PATTERN,
    PREDICTIONS,
    SIMPLE,
    SOUND,
    USERS,
    VERIFIED,
    VERIFIED_BROKER,
    Installation,
)

WORKER = "airflow celery worker --queues default"


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    return Installation(tmp_path, monkeypatch)


def test_a_sound_configuration_may_start(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["airflow", "api-server"]) == 0
    assert capsys.readouterr() == ("", "")


METADATA_SETTINGS = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
}


@pytest.mark.parametrize(
    ("file", "text", "where", "cause"),
    [
        pytest.param(
            "metadata_url",
            f"postgresql+psycopg://{METADATA}",
            METADATA_SETTINGS,
            "without TLS",
            id="plaintext metadata",
        ),
        pytest.param(
            "metadata_url",
            f"postgresql+psycopg://{METADATA}?sslmode=require",
            METADATA_SETTINGS,
            "without TLS",
            id="metadata of whoever answers",
        ),
        pytest.param(
            "metadata_url",
            "sqlite:////tmp/airflow.db",
            METADATA_SETTINGS,
            "No PostgreSQL",
            id="metadata in a file",
        ),
        pytest.param(
            "metadata_url",
            SOUND["metadata_url"].replace("psycopg", "asyncpg"),
            {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"},
            "verifies no certificate",
            id="a driver that verifies nothing",
        ),
        pytest.param(
            "result_backend_url",
            f"db+postgresql://{METADATA}",
            {"AIRFLOW__CELERY__RESULT_BACKEND"},
            "without TLS",
            id="plaintext results",
        ),
        pytest.param(
            "result_backend_url",
            f"rediss://{BROKER}?{VERIFIED_BROKER}",
            {"AIRFLOW__CELERY__RESULT_BACKEND"},
            "No PostgreSQL",
            id="results in the broker",
        ),
        pytest.param(
            "predictions_url",
            f"postgresql://{PREDICTIONS}",
            {"EQUIPOISE_DATABASE_URL_FILE"},
            "without TLS",
            id="plaintext predictions",
        ),
        pytest.param(
            "predictions_url",
            f"postgresql://{PREDICTIONS}?{VERIFIED}&sslmode=disable",
            {"EQUIPOISE_DATABASE_URL_FILE"},
            "without TLS",
            id="TLS taken back",
        ),
        pytest.param(
            "broker_url",
            f"redis://{BROKER}",
            {"AIRFLOW__CELERY__BROKER_URL"},
            "without TLS",
            id="plaintext broker",
        ),
        pytest.param(
            "broker_url",
            f"rediss://{BROKER}?ssl_cert_reqs=none",
            {"AIRFLOW__CELERY__BROKER_URL"},
            "whoever answers",
            id="broker of whoever answers",
        ),
        pytest.param(
            "predictions_url",
            SOUND["predictions_url"].replace(PATTERN.format("p"), "postgres"),
            {"EQUIPOISE_DATABASE_URL_FILE"},
            "comes with an image",
            id="default password",
        ),
        pytest.param(
            "broker_url",
            f"rediss://broker:6379/0?{VERIFIED_BROKER}",
            {"AIRFLOW__CELERY__BROKER_URL"},
            "password is missing",
            id="no password",
        ),
        pytest.param(
            "broker_url",
            SOUND["broker_url"].replace(PATTERN.format("b"), "abababababababababababab"),
            {"AIRFLOW__CELERY__BROKER_URL"},
            "can be guessed",
            id="weak password",
        ),
        pytest.param(
            "secrets/airflow_passwords.json",
            json.dumps(USERS | {"admin": "admin"}),
            {"airflow_passwords.json"},
            "user admin",
            id="default password of a user",
        ),
        pytest.param(
            "fernet_key",
            "no Fernet key, though it is long enough to look like one",
            {"AIRFLOW__CORE__FERNET_KEY"},
            "is no Fernet key",
            id="malformed Fernet key",
        ),
        pytest.param(
            "fernet_key", "", {"AIRFLOW__CORE__FERNET_KEY"}, "no fernet key", id="empty Fernet key"
        ),
        pytest.param(
            "jwt_secret",
            "short",
            {"AIRFLOW__API_AUTH__JWT_SECRET"},
            "can be guessed",
            id="short JWT secret",
        ),
    ],
)
def test_what_stands_in_a_file_is_refused_by_its_setting(
    installation: Installation, file: str, text: str, where: set[str], cause: str
) -> None:
    installation.write(file, text)
    found = installation.refused()
    assert {Path(place).name for place, said in found if cause in said} == where


@pytest.mark.parametrize(
    ("name", "value", "cause"),
    [
        pytest.param(
            "AIRFLOW__CORE__AUTH_MANAGER", SIMPLE, "for development", id="SimpleAuthManager"
        ),
        pytest.param(
            "AIRFLOW__CORE__EXECUTOR", "LocalExecutor", "scheduler's container", id="LocalExecutor"
        ),
        pytest.param(
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
            "http://api-server:8080/execution/",
            "Tasks talk",
            id="plaintext tasks",
        ),
        *(
            pytest.param(name, "a-secret-canary", "A secret stands", id=f"{name} as a value")
            for name in (
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
                "AIRFLOW__CORE__FERNET_KEY",
                "AIRFLOW__CELERY__BROKER_URL",
                "EQUIPOISE_DATABASE_URL",
                "EQUIPOISE_ALERT_WEBHOOK",
                "EQUIPOISE_ALERT_SMTP",
                "AIRFLOW_CONN_LAKE",
                "AWS_SECRET_ACCESS_KEY",
                "PGPASSWORD",
            )
        ),
    ],
)
def test_an_unsafe_variable_is_refused_by_its_name(
    installation: Installation, name: str, value: str, cause: str
) -> None:
    installation.set(name, value)
    assert {place for place, said in installation.refused() if cause in said} == {name}


@pytest.mark.parametrize(
    ("name", "where", "cause"),
    [
        ("AIRFLOW__CORE__FERNET_KEY_CMD", "AIRFLOW__CORE__FERNET_KEY", "no fernet key"),
        ("AIRFLOW__API__SECRET_KEY_CMD", "AIRFLOW__API__SECRET_KEY", "no secret key"),
        ("AIRFLOW__API_AUTH__JWT_SECRET_CMD", "AIRFLOW__API_AUTH__JWT_SECRET", "no jwt secret"),
        ("AIRFLOW__CORE__AUTH_MANAGER", "AIRFLOW__CORE__AUTH_MANAGER", "for development"),
        ("AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CORE__EXECUTOR", "scheduler's container"),
        ("AIRFLOW__API__SSL_CERT", "AIRFLOW__API__SSL_CERT", "without TLS"),
        (
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC_CMD",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
            "asyncpg",
        ),
    ],
)
def test_what_is_not_set_is_refused_with_what_airflow_would_do(
    installation: Installation, name: str, where: str, cause: str
) -> None:
    installation.unset(name)
    assert [place for place, said in installation.refused() if cause in said] == [where]


@pytest.mark.parametrize("file", [*SOUND, "secrets/airflow_passwords.json"])
def test_a_secret_file_that_others_can_read_is_refused(
    installation: Installation, file: str
) -> None:
    (installation.folder / file).chmod(0o640)
    found = installation.refused()
    assert found
    assert {cause for _, cause in found} == {
        "Others than its owner can read a file that holds a secret."
    }
    assert all(place.endswith(f": {installation.folder / file}") for place, _ in found)


def test_a_secret_file_that_is_not_there_is_refused(installation: Installation) -> None:
    installation.set("AWS_SHARED_CREDENTIALS_FILE", "/run/secrets/none")
    assert installation.refused() == [
        (
            "AWS_SHARED_CREDENTIALS_FILE: /run/secrets/none",
            "A file that holds a secret is not there.",
        )
    ]


@pytest.mark.parametrize("name", ["EQUIPOISE_ALERT_WEBHOOK", "EQUIPOISE_ALERT_SMTP"])
def test_an_address_of_alerts_stands_in_a_file_of_its_owner_alone_or_is_not_given(
    installation: Installation, name: str
) -> None:
    installation.set(f"{name}_FILE", os.devnull)
    assert installation.refused(WORKER) == []
    file = installation.folder / "address"
    installation.write(file.name, "https://alerts.example.org/hush")
    installation.set(f"{name}_FILE", str(file))
    assert installation.refused(WORKER) == []
    file.chmod(0o644)
    assert [place for place, _ in installation.refused(WORKER)] == [f"{name}_FILE: {file}"]


def test_two_logins_with_one_password_are_refused(installation: Installation) -> None:
    shared = SOUND["predictions_url"].replace(PATTERN.format("p"), PATTERN.format("m"))
    installation.write("predictions_url", shared)
    assert [cause for _, cause in installation.refused()] == [
        "Two logins, users or keys share one secret."
    ]


def test_a_stated_proxy_may_speak_tls_in_the_servers_place(installation: Installation) -> None:
    installation.unset("AIRFLOW__API__SSL_CERT")
    installation.set("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://api-server:8080/execution/")
    assert [place for place, _ in installation.refused()] == [
        "AIRFLOW__API__SSL_CERT",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
    ]
    installation.set("EQUIPOISE_BEHIND_TLS_PROXY", "1")
    assert installation.refused() == []


def test_a_service_that_listens_to_nobody_needs_no_certificate(installation: Installation) -> None:
    installation.unset("AIRFLOW__API__SSL_CERT")
    installation.unset("AIRFLOW__API__SSL_KEY")
    assert installation.refused("airflow scheduler") == []
    installation.unset("AIRFLOW__CORE__EXECUTION_API_SERVER_URL")
    assert [cause for _, cause in installation.refused("airflow scheduler")] == [
        "Tasks talk to the api-server without TLS."
    ]


def test_an_api_of_this_machine_alone_needs_no_tls(installation: Installation) -> None:
    installation.unset("AIRFLOW__API__SSL_CERT")
    installation.set("AIRFLOW__API__HOST", "127.0.0.1")
    assert installation.refused() == []


def test_a_store_of_artefacts_without_tls_is_refused_where_it_is_used(
    installation: Installation,
) -> None:
    installation.set("AWS_ENDPOINT_URL", "http://object-store:8333")
    assert installation.refused() == []
    installation.set("EQUIPOISE_ARTEFACTS_URL", "s3://equipoise/artefacts")
    assert [place for place, _ in installation.refused()] == ["AWS_ENDPOINT_URL"]
    installation.set("AWS_ENDPOINT_URL", "https://object-store:8333")
    assert installation.refused() == []
    installation.set("AWS_ENDPOINT_URL_S3", "HTTP://object-store:8333")
    assert [place for place, _ in installation.refused()] == ["AWS_ENDPOINT_URL_S3"]


def test_the_command_tells_all_at_once_with_remedies_and_no_secret(
    installation: Installation,
) -> None:
    installation.write("metadata_url", f"postgresql+psycopg://{METADATA}")
    installation.write("fernet_key", "malformed-canary")
    installation.set("AIRFLOW__CORE__AUTH_MANAGER", SIMPLE)
    installation.set("PGPASSWORD", "variable-canary")
    environment = dict(os.environ) | {"AIRFLOW_HOME": str(installation.folder / "airflow")}
    code, output, errors = python("-m", "dags.production", "airflow", "api-server", env=environment)
    assert (code, output) == (44, "")
    assert "5 unsafe: nothing is started." in errors
    assert errors.count("  remedy: ") == 5
    assert "Traceback" not in errors
    for secret in _secrets(environment):
        assert secret not in errors


def _secrets(environment: Mapping[str, str]) -> list[str]:
    passwords = [str(urlsplit(SOUND[name]).password) for name in SOUND if name.endswith("_url")]
    keys = [SOUND["secret_key"], SOUND["jwt_secret"], "malformed-canary"]
    return [*passwords, *keys, *USERS.values(), environment["PGPASSWORD"]]
