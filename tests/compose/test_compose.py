"""What docker-compose.yml promises of every service; the stack itself is a long trial."""

import re
import stat
import sys
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
import yaml

from dags.production_configuration import NO_METADATA
from pipelines.settings import settings as settings_of_this_machine
from pipelines.training_process import most_silence_seconds
from tests.compose.docker import has_daemon
from tests.compose.run import main
from tests.compose.stack import BY_HAND, OURS
from tests.dags.installations import ROOT

FILES = ("docker-compose.yml", "docker-compose.prod.yml", "docker-compose.gpu.yml")
LIMITS = ("mem_limit", "cpus", "pids_limit")
# These end by themselves.
ONE_SHOT = {"init", "volumes", *BY_HAND}


def _read(file: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())
    return content


COMPOSE = _read("docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
every_service = pytest.mark.parametrize("name", SERVICES)


@every_service
def test_a_service_is_nobody_writes_nowhere_and_may_nothing(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] == "${EQUIPOISE_UID:-50000}:0"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service


@every_service
def test_a_service_is_limited_and_started_again(name: str) -> None:
    service = SERVICES[name]
    assert all(service[limit] for limit in LIMITS)
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")


@every_service
def test_a_service_that_stays_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    if name in ONE_SHOT:
        assert check == {"disable": True}
    else:
        assert check["test"][0] == "CMD"
        assert check["timeout"]
        assert check["start_period"]


@every_service
def test_every_image_is_a_variable_with_a_version(name: str) -> None:
    found = re.fullmatch(r"\$\{EQUIPOISE_\w*IMAGE:-([^}]+)\}", SERVICES[name]["image"])
    assert found is not None
    assert ":" in found[1]
    assert not found[1].endswith(":latest")


@pytest.mark.parametrize("file", FILES)
def test_no_variable_holds_a_secret(file: str) -> None:
    settings = {
        name: str(value)
        for service in _read(file)["services"].values()
        for name, value in service.get("environment", {}).items()
    }
    text = (ROOT / "docker" / "airflow.env").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    settings |= dict(line.split("=", 1) for line in lines)
    named = re.compile("PASSWORD|SECRET|KEY|TOKEN|CREDENTIALS|CONN|URL_|BROKER_URL|BACKEND")
    for name, value in settings.items():
        assert "@" not in value
        if named.search(name) and not name.endswith(("RETRY_ON_STARTUP", "ENGINE_OPTIONS")):
            assert value.startswith(
                ("cat /run/secrets/", "/run/secrets/", "/run/tls/", "/var/lib")
            ) or (name.endswith("PRE_PING") or value == NO_METADATA)


def test_every_secret_is_a_file_that_make_secrets_makes(tmp_path: Path) -> None:
    _make_secrets(tmp_path / "secrets")
    made = {file.name for file in (tmp_path / "secrets").iterdir()}
    declared = COMPOSE["secrets"]
    assert all(set(secret) == {"file"} for secret in declared.values())
    assert {Path(secret["file"]).name for secret in declared.values()} == set(declared) <= made
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == set(declared)


def test_the_superusers_secrets_are_the_servers_and_of_who_makes_roles() -> None:
    holders = {
        name
        for name, service in SERVICES.items()
        if any(secret.startswith("superuser") for secret in service.get("secrets", []))
    }
    assert holders == {"postgres", "init", "restore"}


# What signs tokens and decrypts connections.
KEYS = {"fernet_key", "secret_key", "jwt_secret"}
SHARED = {"result_backend_url", "broker_url", "object_store_credentials"}
CONTROLS = SHARED | KEYS | {"metadata_url"}
CONTROL = ("api-server", "scheduler", "dag-processor", "triggerer")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        *((name, CONTROLS) for name in CONTROL),
        *((name, SHARED | {"predictions_url"}) for name in ("worker-cpu", "worker-gpu")),
        ("init", CONTROLS | {"predictions_url", "backup_url", "superuser_url"}),
        ("backup", {"backup_url", "object_store_credentials"}),
        ("restore", {"predictions_url", "superuser_url", "object_store_credentials"}),
    ],
)
def test_a_service_knows_no_secret_that_it_does_not_use(name: str, known: set[str]) -> None:
    service = SERVICES[name]
    assert set(service["secrets"]) == known
    read = {
        str(value).rpartition("/run/secrets/")[2]
        for setting, value in service["environment"].items()
        if "/run/secrets/" in str(value) and "_ALERT_" not in setting
    }
    assert read == known


def test_a_certificate_that_is_missing_becomes_no_folder() -> None:
    """Compose makes a folder where a short mount finds no file; of a secret it refuses."""
    prod = _read("docker-compose.prod.yml")
    declared = {name: Path(secret["file"]).name for name, secret in prod["secrets"].items()}
    for service in prod["services"].values():
        for secret in service["secrets"]:
            assert secret["target"] == f"/run/tls/{declared[secret['source']]}"
        assert all("EQUIPOISE_TLS" not in mount for mount in service.get("volumes", []))


def test_postgresql_lets_nobody_in_over_the_network_without_tls_in_production() -> None:
    service = _read("docker-compose.prod.yml")["services"]["postgres"]
    [file] = [word for word in service["command"] if word.startswith("hba_file=")]
    assert f"./docker/pg_hba.conf:{file.partition('=')[2]}:ro" in service["volumes"]
    lines = (ROOT / "docker/pg_hba.conf").read_text().splitlines()
    rules = [line.split() for line in lines if line and not line.startswith("#")]
    assert {rule[0]: rule[-1] for rule in rules} == {"local": "trust", "hostssl": "scram-sha-256"}


def test_the_image_holds_the_lock_of_versions_and_the_servers_own_client_programs() -> None:
    built = (ROOT / "docker/Dockerfile").read_text()
    assert "COPY uv.lock /opt/equipoise/" in built
    assert "FROM ${POSTGRES_IMAGE} AS client" in built
    args = SERVICES["volumes"]["build"]["args"]
    assert args["POSTGRES_IMAGE"] == SERVICES["postgres"]["image"]


def test_what_airflow_runs_by_stands_in_one_file() -> None:
    assert all(SERVICES[name]["env_file"] == ["docker/airflow.env"] for name in OURS)
    settled = set(re.findall(r"^(\w+)=", (ROOT / "docker/airflow.env").read_text(), re.MULTILINE))
    for name in OURS:
        assert not settled & set(SERVICES[name]["environment"])


def test_the_broker_keeps_an_append_only_file_and_asks_for_a_name() -> None:
    for file in FILES[:2]:
        words = _read(file)["services"]["broker"]["command"]
        pairs = dict(zip(words[1::2], words[2::2], strict=True))
        assert pairs["--appendonly"] == "yes"
        assert pairs["--maxmemory-policy"] == "noeviction"
        assert pairs["--aclfile"] == "/run/secrets/broker_users"


def test_no_service_of_ours_takes_an_empty_file_for_the_predictions() -> None:
    for name in (*OURS, *BY_HAND):
        assert SERVICES[name]["environment"]["EQUIPOISE_DATABASE_REQUIRED"] == "1"


def test_a_backup_is_restored_beside_postgresql_alone_and_from_folders_that_stay() -> None:
    service = SERVICES["restore"]
    assert service["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    mounts = [mount for mount in service["volumes"] if isinstance(mount, str)]
    assert mounts[0] == "home:/var/lib/equipoise"
    assert [mount.endswith(":ro") for mount in mounts[1:]] == [True, True]
    for name in BY_HAND:
        assert SERVICES[name]["profiles"] == [name]


# Who calls people: in a worker the task, in the dag-processor the run.
CALLERS = {"worker-cpu", "worker-gpu", "dag-processor"}


def test_who_tells_people_of_failures_is_told_how() -> None:
    for name in OURS:
        settings = SERVICES[name]["environment"]
        named = {setting for setting in settings if setting.startswith("EQUIPOISE_ALERT_")}
        ends = ("WEBHOOK_FILE", "SMTP_FILE", "MAIL_TO", "MAIL_FROM")
        assert named == ({f"EQUIPOISE_ALERT_{end}" for end in ends} if name in CALLERS else set())
        targets = _mounted(name)
        for setting in named:
            if setting.endswith("_FILE"):
                assert targets[settings[setting]] == f"${{{setting}:-/dev/null}}"
        assert ("/run/secrets/alert_webhook" in targets) == (name in CALLERS)


@pytest.mark.parametrize(
    ("variable", "services"),
    [
        ("EQUIPOISE_STUDIES", {*OURS, *BY_HAND}),
        ("AWS_CA_BUNDLE", {*OURS, *BY_HAND}),
        ("EQUIPOISE_DATA", {"worker-cpu", "worker-gpu"}),
    ],
)
def test_what_a_variable_names_has_the_same_path_inside(variable: str, services: set[str]) -> None:
    for name in services:
        [target] = [each for each in _mounted(name) if each.startswith(f"${{{variable}:-")]
        assert _mounted(name)[target] == f"${{{variable}:-/dev/null}}"
        assert variable in SERVICES[name]["environment"]
    assert not any(variable in SERVICES[name]["environment"] for name in set(OURS) - services)


def test_the_pipelines_own_defaults_are_those_of_the_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = SERVICES["worker-gpu"]["environment"]
    for name in ("CHECKPOINT_MINUTES", "TRAINING_SILENCE_MINUTES", "TRAINING_PROCESSES", "DATA"):
        monkeypatch.delenv(f"EQUIPOISE_{name}", raising=False)
    minutes = {
        "EQUIPOISE_CHECKPOINT_MINUTES": settings_of_this_machine().checkpoint_minutes,
        "EQUIPOISE_TRAINING_SILENCE_MINUTES": most_silence_seconds() / 60,
    }
    for name, default in minutes.items():
        assert settings[name] == f"${{{name}:-{default:g}}}"
    # Not set means one for each GPU, and the client's own certificates; empty would mean neither.
    assert settings["EQUIPOISE_TRAINING_PROCESSES"] is None
    assert settings["AWS_CA_BUNDLE"] is None
    monkeypatch.setenv("EQUIPOISE_DATA", "")
    assert settings_of_this_machine().data is None


def _mounted(name: str) -> dict[str, str]:
    """Target -> source of the mounts in the long form."""
    mounts = [mount for mount in SERVICES[name]["volumes"] if isinstance(mount, dict)]
    return {mount["target"]: mount["source"] for mount in mounts}


def test_each_queue_has_its_worker() -> None:
    queues = {
        name: service["command"][service["command"].index("--queues") + 1]
        for name, service in SERVICES.items()
        if "--queues" in service.get("command", [])
    }
    assert queues == {"worker-cpu": "default", "worker-gpu": "gpu"}


def test_only_the_api_server_has_a_port_and_databases_reach_nothing() -> None:
    for file in FILES:
        services = _read(file)["services"]
        assert {name for name, service in services.items() if "ports" in service} <= {"api-server"}
    assert COMPOSE["networks"]["inner"]["internal"] is True
    for name in ("postgres", "broker", "object-store"):
        assert SERVICES[name]["networks"] == ["inner"]


def test_production_starts_with_its_check_and_without_plaintext() -> None:
    prod = _read("docker-compose.prod.yml")["services"]
    for name in (*OURS, *BY_HAND):
        settings = prod[name]["environment"]
        assert settings["EQUIPOISE_PROFILE"] == "prod"
        assert settings["AIRFLOW__CORE__AUTH_MANAGER"].endswith("FabAuthManager")
        assert settings["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].startswith("https:")
        targets = {secret["target"] for secret in prod[name]["secrets"]}
        own = {f"/run/tls/api-server.{end}" for end in ("crt", "key")}
        assert targets == {"/run/tls/ca.crt"} | (own if name == "api-server" else set())
    assert "ssl=on" in prod["postgres"]["command"]
    port = prod["broker"]["command"].index("--port")
    assert prod["broker"]["command"][port + 1] == "0"
    assert 'python -m dags.production "$@"' in (ROOT / "docker/entrypoint.sh").read_text()


def test_secrets_are_made_once_and_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    shown = _make_secrets(folder)
    first = {file.name: file.read_text() for file in folder.iterdir()}
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    passwords = [text for name, text in first.items() if name.endswith(("_password", "_key"))]
    assert len(set(passwords)) == len(passwords) == 9
    assert not any(password in shown for password in passwords)

    _make_secrets(folder, "--tls")
    second = {file.name: file.read_text() for file in folder.iterdir()}
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {
        "superuser_url",
        "metadata_url",
        "result_backend_url",
        "predictions_url",
        "backup_url",
        "broker_url",
    }
    assert all("verify-full" in second[name] for name in changed - {"broker_url"})
    assert second["broker_url"].startswith("rediss://")

    (folder / "broker_password").unlink()
    _make_secrets(folder, "--tls")
    third = {file.name: file.read_text() for file in folder.iterdir()}
    assert {name for name in second if second[name] != third[name]} == {
        "broker_password",
        "broker_url",
        "broker_users",
    }
    assert third["broker_password"] not in third["broker_users"]


def _make_secrets(folder: Path, *options: str) -> str:
    command = [sys.executable, "docker/make_secrets.py", str(folder), *options]
    done = run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not has_daemon(), reason="no Docker daemon runs: make compose-test starts one")
@pytest.mark.parametrize("options", [[], ["--prod", "--quick"]])
def test_the_stack_trains_and_scores_to_a_table_that_an_analyst_reads(options: list[str]) -> None:
    assert main(options) == 0
