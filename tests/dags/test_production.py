"""Each setting that is unsafe in production is refused, whatever else is right."""

import json
import os
import shlex
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from dags.production import main, this_configuration, unsafe_settings
from tests.compose.stack import OURS
from tests.dags.installations import ROOT, python

VERIFIED = "sslmode=verify-full&sslrootcert=/run/tls/ca.crt"
PATTERN = "L4kQ0v-8sZ_{}-TbY2mWc9e"
METADATA = f"airflow:{PATTERN.format('m')}@postgres:5432/airflow"
PREDICTIONS = f"pipeline:{PATTERN.format('p')}@postgres:5432/equipoise"
BROKER = f"equipoise:{PATTERN.format('b')}@broker:6379/0"
VERIFIED_BROKER = "ssl_cert_reqs=required&ssl_ca_certs=/run/tls/ca.crt"
SOUND = {
    "metadata_url": f"postgresql+psycopg://{METADATA}?{VERIFIED}",
    "result_backend_url": f"db+postgresql+psycopg://{METADATA}?{VERIFIED}",
    "predictions_url": f"postgresql://{PREDICTIONS}?{VERIFIED}",
    "broker_url": f"rediss://{BROKER}?{VERIFIED_BROKER}",
    "fernet_key": urlsafe_b64encode(bytes(range(32))).decode(),
    "secret_key": urlsafe_b64encode(bytes(range(32, 64))).decode(),
    "jwt_secret": urlsafe_b64encode(bytes(range(64, 96))).decode(),
    "api.key": "a private key",
}
# Setting -> the file of SOUND that its command reads.
COMMANDS = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "metadata_url",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC_CMD": "metadata_url",
    "AIRFLOW__CELERY__RESULT_BACKEND_CMD": "result_backend_url",
    "AIRFLOW__CELERY__BROKER_URL_CMD": "broker_url",
    "AIRFLOW__CORE__FERNET_KEY_CMD": "fernet_key",
    "AIRFLOW__API__SECRET_KEY_CMD": "secret_key",
    "AIRFLOW__API_AUTH__JWT_SECRET_CMD": "jwt_secret",
}
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
USERS = {"admin": PATTERN.format("u"), "approver": PATTERN.format("v")}


SUPERUSER = f"postgres:{PATTERN.format('s')}@postgres:5432/postgres"
PREDICTIONS_FILE, SUPERUSER_FILE = "EQUIPOISE_DATABASE_URL_FILE", "EQUIPOISE_SUPERUSER_URL_FILE"
ZEROS = urlsafe_b64encode(bytes(32)).decode()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROD = yaml.safe_load((ROOT / "docker-compose.prod.yml").read_text())


class Installation:
    """A folder of secrets and the environment that names them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        for name in os.environ:
            if name.startswith(("AIRFLOW__", "AIRFLOW_CONN", "EQUIPOISE_", "AWS_S", "PG")):
                monkeypatch.delenv(name)
        for file, text in SOUND.items():
            self.write(file, text)
        (folder / "secrets").mkdir()
        self.write("secrets/airflow_passwords.json", json.dumps(USERS))
        for name, file in COMMANDS.items():
            self.set(name, f"cat {folder / file}")
        self.set("AIRFLOW__CORE__AUTH_MANAGER", FAB)
        self.set("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
        self.set("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "https://api-server:8080/execution/")
        self.set("AIRFLOW__API__SSL_CERT", "/run/tls/api.crt")
        self.set("AIRFLOW__API__SSL_KEY", str(folder / "api.key"))
        self.set("EQUIPOISE_DATABASE_URL_FILE", str(folder / "predictions_url"))
        self.set("EQUIPOISE_HOME", str(folder))

    def write(self, file: str, text: str) -> None:
        path = self.folder / file
        path.write_text(text)
        path.chmod(0o600)

    def set(self, name: str, value: str) -> None:
        self._monkeypatch.setenv(name, value)

    def unset(self, name: str) -> None:
        self._monkeypatch.delenv(name)

    def refused(self, command: str = "airflow api-server") -> list[tuple[str, str]]:
        """(where, cause) of each setting that is unsafe for the service of a command."""
        found = unsafe_settings(this_configuration(shlex.split(command)))
        return [(unsafe.where, unsafe.cause) for unsafe in found]


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


WORKER = "airflow celery worker --queues default"


@pytest.mark.parametrize(
    ("unset", "who", "who_not"),
    [
        ("EQUIPOISE_DATABASE_URL_FILE", WORKER, "airflow scheduler"),
        ("EQUIPOISE_DATABASE_URL_FILE", "equipoise backup", "airflow api-server"),
        ("AIRFLOW__CORE__FERNET_KEY_CMD", "airflow triggerer", WORKER),
        ("AIRFLOW__API_AUTH__JWT_SECRET_CMD", "python -m dags.cluster init", WORKER),
        ("AIRFLOW__CELERY__BROKER_URL_CMD", WORKER, "equipoise backup"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", WORKER, "equipoise backup"),
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


@pytest.mark.parametrize("service", [*OURS, "backup"])
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
    words = COMPOSE["services"][service]["command"]
    assert installation.refused(shlex.join(words)) == []


def _given(service: str) -> dict[str, str]:
    """The variables of a service as Compose joins them; what the machine is to say is left out."""
    lines = (ROOT / "docker" / "airflow.env").read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    for file in (COMPOSE, PROD):
        found |= file["services"][service]["environment"]
    return {name: str(value) for name, value in found.items() if "${" not in str(value)}


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
            ("predictions_url", SOUND["predictions_url"].replace("pipeline", "airflow")),
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
    found = {place for place, said in installation.refused(WORKER) if cause in said}
    assert found == ({where} if cause else set())


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
