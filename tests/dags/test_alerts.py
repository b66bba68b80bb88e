"""A failure reaches a person, over real connections, and says nothing of a record."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dags.alerts import notice_of, tell_of_run, tell_of_task
from pipelines import notices
from pipelines.errors import GateClosed
from pipelines.notices import Notice, send, was_told
from tests.dags.listeners import mail_server, webhook_server

NOTICE = Notice(
    dag="train__demo",
    task="release_model",
    run="manual__1",
    attempt=3,
    error="GateClosed",
    exit_code=22,
    at="2026-11-22T05:30:00+00:00",
)


@pytest.fixture(autouse=True)
def _no_ways_and_no_pauses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    for name in ("WEBHOOK", "WEBHOOK_FILE", "MAIL_TO", "MAIL_FROM", "SMTP", "SMTP_FILE"):
        monkeypatch.delenv(f"EQUIPOISE_ALERT_{name}", raising=False)
    monkeypatch.setattr(notices, "PAUSE_SECONDS", 0.0)


def context(error: object) -> dict[str, Any]:
    instance = SimpleNamespace(
        dag_id="train__demo", task_id="release_model", run_id="manual__1", try_number=3
    )
    dag = SimpleNamespace(dag_id="train__demo")
    return {"ti": instance, "exception": error, "dag": dag, "run_id": "manual__1"}


def test_a_webhook_is_posted_the_notice_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook_server() as server:
        url = f"http://127.0.0.1:{server.port}/alerts?team=risk"
        monkeypatch.setenv("EQUIPOISE_ALERT_WEBHOOK", url)
        assert send(NOTICE) == ["webhook"]
    assert server.paths == ["/alerts?team=risk"]
    assert server.headers[0]["Content-Type"] == "application/json"
    assert server.bodies == [
        {
            "dag": "train__demo",
            "task": "release_model",
            "run": "manual__1",
            "attempt": 3,
            "error": "GateClosed",
            "exit_code": 22,
            "at": "2026-11-22T05:30:00+00:00",
        }
    ]


def test_mail_goes_to_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as server:
        monkeypatch.setenv("EQUIPOISE_ALERT_SMTP", f"smtp://127.0.0.1:{server.port}")
        monkeypatch.setenv("EQUIPOISE_ALERT_MAIL_TO", "ana@example.org, ben@example.org")
        assert send(NOTICE) == ["mail"]
    assert [line.split("<")[1].split(">")[0] for line in server.recipients] == [
        "ana@example.org",
        "ben@example.org",
    ]
    assert "Subject: Equipoise: release_model of train__demo failed (GateClosed)" in server.mails[0]
    assert "exit_code: 22" in server.mails[0]


def test_a_server_that_refuses_is_asked_three_times_and_does_not_stop_the_mail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with webhook_server(status=500) as hook, mail_server() as post:
        monkeypatch.setenv("EQUIPOISE_ALERT_WEBHOOK", f"http://127.0.0.1:{hook.port}/")
        monkeypatch.setenv("EQUIPOISE_ALERT_SMTP", f"smtp://127.0.0.1:{post.port}")
        monkeypatch.setenv("EQUIPOISE_ALERT_MAIL_TO", "ana@example.org")
        assert send(NOTICE) == ["mail"]
    assert len(hook.bodies) == 3
    assert len(post.mails) == 1


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "nonsense", "http://127.0.0.1:9/"])
def test_a_webhook_that_cannot_be_reached_raises_nothing_and_its_url_stays_out_of_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    monkeypatch.setenv("EQUIPOISE_ALERT_WEBHOOK", f"{url}?token=hush")
    assert send(NOTICE) == []
    assert "nobody was told by webhook" in caplog.text
    assert "hush" not in caplog.text


@pytest.mark.parametrize(("host", "logins"), [("127.0.0.1", 1), ("127.0.0.2", 0)])
def test_a_password_goes_without_tls_to_this_machine_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, host: str, logins: int
) -> None:
    with mail_server(host) as server:
        monkeypatch.setenv("EQUIPOISE_ALERT_SMTP", f"smtp://ana:hush@{host}:{server.port}")
        monkeypatch.setenv("EQUIPOISE_ALERT_MAIL_TO", "ana@example.org")
        assert send(NOTICE) == ["mail"] * logins
    assert (len(server.logins), len(server.mails)) == (logins, logins)
    assert ("offers no TLS" in caplog.text) == (not logins)
    assert "hush" not in caplog.text


def _write(file: Path, text: str, mode: int = 0o600) -> str:
    file.write_text(f"{text}\n")
    file.chmod(mode)
    return str(file)


def test_webhook_and_mail_server_are_read_from_files_of_their_owner_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with webhook_server() as hook, mail_server() as server:
        url = _write(tmp_path / "webhook", f"http://127.0.0.1:{hook.port}/?token=hush")
        monkeypatch.setenv("EQUIPOISE_ALERT_WEBHOOK_FILE", url)
        address = _write(tmp_path / "smtp", f"smtp://ana:hush@127.0.0.1:{server.port}")
        monkeypatch.setenv("EQUIPOISE_ALERT_SMTP_FILE", address)
        monkeypatch.setenv("EQUIPOISE_ALERT_MAIL_TO", "ana@example.org")
        monkeypatch.setenv("EQUIPOISE_ALERT_MAIL_FROM", "")
        assert send(NOTICE) == ["webhook", "mail"]
    assert hook.paths == ["/?token=hush"]
    assert (len(server.logins), len(server.mails)) == (1, 1)
    assert "From: equipoise@localhost" in server.mails[0]


@pytest.mark.parametrize("mode", [0o640, None])
def test_a_file_that_others_can_read_or_that_is_not_there_is_not_used_and_is_told_of(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    mode: int | None,
) -> None:
    monkeypatch.setenv("EQUIPOISE_ALERT_MAIL_TO", "ana@example.org")
    for name in ("WEBHOOK", "SMTP"):
        file = tmp_path / name
        if mode is not None:
            _write(file, "http://127.0.0.1:9/?token=hush", mode)
        monkeypatch.setenv(f"EQUIPOISE_ALERT_{name}_FILE", str(file))
    assert send(NOTICE) == []
    for name in ("WEBHOOK", "SMTP"):
        assert f"the file of EQUIPOISE_ALERT_{name}_FILE cannot be read" in caplog.text
    assert "hush" not in caplog.text


def test_a_file_whose_path_cannot_be_looked_at_stops_no_other_way(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    # As in a folder that is closed to us, but for root too: no file system has so long a name.
    monkeypatch.setenv("EQUIPOISE_ALERT_WEBHOOK_FILE", str(tmp_path / ("w" * 300)))
    monkeypatch.setenv("EQUIPOISE_ALERT_MAIL_TO", "ana@example.org")
    with mail_server() as server:
        monkeypatch.setenv("EQUIPOISE_ALERT_SMTP", f"smtp://127.0.0.1:{server.port}")
        assert send(NOTICE) == ["mail"]
    assert "the file of EQUIPOISE_ALERT_WEBHOOK_FILE cannot be read" in caplog.text


def test_a_device_stands_for_a_file_that_nobody_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EQUIPOISE_ALERT_WEBHOOK_FILE", os.devnull)
    monkeypatch.setenv("EQUIPOISE_ALERT_MAIL_TO", "")
    assert send(NOTICE) == []
    assert caplog.text == ""


def test_a_torn_line_of_the_record_hides_no_notice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = tmp_path / "journal" / "notices.jsonl"
    record.parent.mkdir()
    record.write_text('{"dag": "train__demo", "ru')
    assert not was_told(NOTICE.dag, NOTICE.run)
    with webhook_server() as server:
        monkeypatch.setenv("EQUIPOISE_ALERT_WEBHOOK", f"http://127.0.0.1:{server.port}/")
        send(NOTICE)
    assert was_told(NOTICE.dag, NOTICE.run)


def test_mail_without_a_usable_server_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_ALERT_MAIL_TO", "ana@example.org")
    monkeypatch.setenv("EQUIPOISE_ALERT_SMTP", "gopher://127.0.0.1")
    assert send(NOTICE) == []


def test_a_notice_names_the_class_of_the_error_and_not_its_words() -> None:
    error = GateClosed("the secret cause", where="a place", remedy="a remedy")
    notice = notice_of(context(error))
    assert (notice.error, notice.exit_code, notice.attempt) == ("GateClosed", 22, 3)
    assert "secret" not in str(notice)


@pytest.mark.parametrize(
    ("error", "name"), [(ValueError("93 kg"), "ValueError"), (None, "Killed"), ("text", "Killed")]
)
def test_any_other_failure_is_told_with_the_code_for_unexpected_ones(
    error: object, name: str
) -> None:
    notice = notice_of(context(error))
    assert (notice.error, notice.exit_code) == (name, 41)
    assert "93 kg" not in str(notice)


def test_a_failure_that_nobody_is_told_of_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    tell_of_task(context(None))
    assert "nobody was told of this failure" in caplog.text


def test_a_run_tells_of_a_killed_task_and_keeps_silent_where_its_task_has_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with webhook_server() as server:
        monkeypatch.setenv("EQUIPOISE_ALERT_WEBHOOK", f"http://127.0.0.1:{server.port}/")
        tell_of_run(context(None) | {"run_id": "manual__0"})
        tell_of_task(context(GateClosed("", where="", remedy="")))
        tell_of_run(context(None))
    assert [(body["run"], body["error"]) for body in server.bodies] == [
        ("manual__0", "Killed"),
        ("manual__1", "GateClosed"),
    ]


def test_a_run_tells_what_its_task_could_not_deliver(monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook_server(status=503) as server:
        monkeypatch.setenv("EQUIPOISE_ALERT_WEBHOOK", f"http://127.0.0.1:{server.port}/")
        tell_of_task(context(None))
        server.status = 200
        tell_of_run({"dag": SimpleNamespace(dag_id="train__demo"), "run_id": "manual__1"})
    assert [body["task"] for body in server.bodies] == [*["release_model"] * 3, "unknown"]
