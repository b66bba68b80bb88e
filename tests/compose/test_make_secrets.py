"""What docker/make_secrets.py keeps, remembers and makes anew, and the .env it writes."""

import os
import re
import stat
import sys
from pathlib import Path
from subprocess import CompletedProcess, run

import pytest

from tests.dags.installations import ROOT

SCRIPT = ROOT / "docker" / "make_secrets.py"
ADDRESSES = ("superuser", "metadata", "result_backend", "predictions", "backup", "broker")
# The file to remove, as docs/deployment.md says -> what differs after the next call.
CHANGED_BY = {
    "metadata_password": {"metadata_url"},
    "results_password": {"result_backend_url"},
    "predictions_password": {"predictions_url"},
    "backup_password": {"backup_url"},
    "broker_password": {"broker_url", "broker_users"},
    "object_store_password": {"object_store_users", "object_store_credentials"},
    "secret_key": set[str](),
    "jwt_secret": set[str](),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _make(tmp_path / "secrets")
    return tmp_path / "secrets"


def test_tls_is_remembered_until_it_is_taken_back(folder: Path) -> None:
    plain = _texts(folder)
    assert not _speaks_tls(folder)
    _make(folder, "--tls")
    verified = _texts(folder)
    assert _speaks_tls(folder)
    _make(folder)
    assert _texts(folder) == verified
    _make(folder, "--no-tls")
    assert _texts(folder) == plain


@pytest.mark.parametrize("gone", ["broker_url", "predictions_url", "broker_password"])
def test_an_address_that_is_gone_is_written_with_tls_where_the_others_have_it(
    folder: Path, gone: str
) -> None:
    _make(folder, "--tls")
    (folder / gone).unlink()
    _make(folder)
    assert _speaks_tls(folder)


@pytest.mark.parametrize("removed", CHANGED_BY)
def test_the_file_that_the_table_names_makes_a_new_secret_and_changes_no_other(
    folder: Path, removed: str
) -> None:
    first = _texts(folder)
    (folder / removed).unlink()
    said = _make(folder).stdout
    second = _texts(folder)
    changed = {name for name in first if first[name] != second[name]}
    assert changed == CHANGED_BY[removed] | {removed}
    assert said.startswith(f"new: {removed}\n")


@pytest.mark.parametrize("removed", CHANGED_BY)
def test_the_table_of_secrets_names_each_file_to_remove(removed: str) -> None:
    rows = (ROOT / "docs" / "deployment.md").read_text().splitlines()
    assert any(row.startswith("|") and f"`{removed}`" in row for row in rows)


def test_every_variable_that_a_compose_file_takes_has_its_row() -> None:
    texts = [file.read_text() for file in ROOT.glob("docker-compose*.yml")]
    taken = {name for text in texts for name in re.findall(r"\$\{(\w+)|^ +(EQUI\w+):$", text, re.M)}
    rows = (ROOT / "docs" / "deployment.md").read_text().split("| variable |")[1].split("\n\n")[0]
    named = set(re.findall(r"`(?:EQUIPOISE|…)_(\w+)`", rows)) | {"AWS_CA_BUNDLE"}
    assert {(whole or bare).removeprefix("EQUIPOISE_") for whole, bare in taken} <= named


@pytest.mark.parametrize("removed", ["superuser_password", "superuser_url"])
def test_the_superusers_password_stays_the_one_that_the_server_asks_for(
    folder: Path, removed: str
) -> None:
    first = _texts(folder)
    (folder / removed).unlink()
    assert _make(folder).stdout.startswith("new: nothing\n")
    assert _texts(folder) == first


def test_a_password_that_was_written_by_hand_goes_into_its_address_without_its_lines_end(
    folder: Path,
) -> None:
    (folder / "superuser_password").write_text("written-by-hand\n")
    _make(folder)
    assert "postgres:written-by-hand@" in (folder / "superuser_url").read_text()


def test_the_account_of_another_store_is_kept(folder: Path) -> None:
    account = "[default]\naws_access_key_id = theirs\naws_secret_access_key = of-their-own\n"
    (folder / "object_store_credentials").write_text(account)
    _make(folder)
    assert (folder / "object_store_credentials").read_text() == account


def test_the_clusters_shape_is_written_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file, folder = tmp_path / ".env", tmp_path / "secrets"
    shell = {"EQUIPOISE_GROUPS": "--group demo", "EQUIPOISE_WEB_PORT": "9090"}
    # A compose file passes the second on by its name alone.
    shell |= {"COMPOSE_PROJECT_NAME": "trial", "EQUIPOISE_TRAINING_PROCESSES": "2"}
    _make(folder, "--env", str(file), "--tls", "--gpu", "--s3", **shell)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert _settings(file) == {
        "COMPOSE_PROJECT_NAME": "trial",
        "COMPOSE_FILE": "docker-compose.yml:docker-compose.gpu.yml:docker-compose.prod.yml",
        "COMPOSE_PROFILES": "s3",
        "EQUIPOISE_ARTEFACTS_URL": "s3://equipoise/artefacts",
        "EQUIPOISE_GROUPS": "'--group demo'",
        "EQUIPOISE_TRAINING_PROCESSES": "2",
        "EQUIPOISE_WEB_PORT": "9090",
        "EQUIPOISE_UID": str(os.geteuid() or 50000),
        "EQUIPOISE_SECRETS": str(folder),
    }
    first = file.read_text()
    _make(folder, "--env", str(file), EQUIPOISE_WEB_PORT="1")
    assert file.read_text() == first


def test_the_shape_is_that_of_the_secrets_and_says_so_where_it_is_not(tmp_path: Path) -> None:
    file, folder = tmp_path / ".env", tmp_path / "secrets"
    _make(folder, "--tls")
    assert "does not fit" not in _make(folder, "--env", str(file)).stdout
    assert "docker-compose.prod.yml" in _settings(file)["COMPOSE_FILE"]
    assert (
        "take docker-compose.prod.yml out" in _make(folder, "--no-tls", "--env", str(file)).stdout
    )
    assert "docker-compose.prod.yml" in _settings(file)["COMPOSE_FILE"]


def test_no_shape_is_written_that_nobody_asked_for(tmp_path: Path) -> None:
    before = (ROOT / ".env").exists()
    _make(tmp_path / "secrets")
    assert [each.name for each in tmp_path.iterdir()] == ["secrets"]
    assert (ROOT / ".env").exists() == before


@pytest.mark.parametrize("value", ["it's", "two\nlines"])
def test_a_value_that_no_env_file_can_say_is_refused_by_its_name(
    tmp_path: Path, value: str
) -> None:
    file = tmp_path / ".env"
    shell = {"EQUIPOISE_GROUPS": value}
    done = _called(tmp_path / "secrets", "--env", str(file), **shell)
    assert done.returncode == 1
    assert "EQUIPOISE_GROUPS" in done.stderr
    assert value not in done.stderr
    assert not file.exists()


def test_the_shape_goes_into_no_history_and_no_image() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    kept = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert kept[0] == "*"
    assert not any(line.startswith("!.") for line in kept)


def _make(folder: Path, *options: str, **shell: str) -> CompletedProcess[str]:
    done = _called(folder, *options, **shell)
    assert done.returncode == 0, done.stderr
    return done


def _called(folder: Path, *options: str, **shell: str) -> CompletedProcess[str]:
    others = ("EQUIPOISE_", "AWS_", "COMPOSE_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    command = [sys.executable, str(SCRIPT), str(folder), *options]
    return run(command, env=env | shell, capture_output=True, text=True, check=False)


def _texts(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


def _speaks_tls(folder: Path) -> bool:
    """All addresses or none."""
    texts = [(folder / f"{name}_url").read_text() for name in ADDRESSES]
    [answer] = {"verify-full" in text or text.startswith("rediss:") for text in texts}
    return answer


def _settings(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)
