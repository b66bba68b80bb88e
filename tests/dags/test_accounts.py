"""Who may log in, and which passwords lie where."""

import json
from pathlib import Path

import pytest

from dags.accounts import READER, accounts, new_passwords, read_passwords, write_passwords
from pipelines.errors import StudyInvalid


def test_there_is_somebody_beside_the_administrator_who_can_approve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EQUIPOISE_AIRFLOW_USERS", raising=False)
    assert accounts() == {"admin": "admin", "approver": "user", READER: "viewer"}


def test_the_installation_names_its_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_AIRFLOW_USERS", "ada:user, vic:viewer")
    assert accounts() == {"admin": "admin", "ada": "user", "vic": "viewer", READER: "viewer"}


@pytest.mark.parametrize(
    "named", ["", "ada", "ada:king", ":user", "a b:user", f"{READER}:admin", "ada:user,"]
)
def test_what_is_no_list_of_people_is_refused(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("EQUIPOISE_AIRFLOW_USERS", named)
    with pytest.raises(StudyInvalid, match="EQUIPOISE_AIRFLOW_USERS"):
        accounts()


def test_a_new_user_gets_a_password_and_the_others_keep_theirs(tmp_path: Path) -> None:
    passwords, reader = tmp_path / "secrets" / "passwords.json", tmp_path / "secrets" / "reader"
    write_passwords({"admin": "admin", READER: "viewer"}, passwords, reader)
    before = json.loads(passwords.read_text())
    write_passwords({"admin": "admin", "ada": "user", READER: "viewer"}, passwords, reader)
    after = json.loads(passwords.read_text())

    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == 3
    assert json.loads(reader.read_text()) == {"username": READER, "password": after[READER]}
    for file in (passwords, reader):
        assert file.stat().st_mode & 0o077 == 0


def test_a_password_is_drawn_for_whom_the_file_does_not_name_and_is_not_yet_kept(
    tmp_path: Path,
) -> None:
    passwords = tmp_path / "secrets" / "passwords.json"
    assert read_passwords(passwords) == {}
    assert [*new_passwords(["admin", "ada"], {"admin": "kept"})] == ["ada"]
    assert not passwords.exists()
