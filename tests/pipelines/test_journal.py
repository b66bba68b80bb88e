"""The journal survives a power cut: a torn line costs itself and no other."""

from pathlib import Path

import pytest

from pipelines.journal import JournalEntry, append_entry, read_entries


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    return tmp_path / "journal" / "stages.jsonl"


def entry(stage: str, run: str = "manual__1", study: str = "demo") -> JournalEntry:
    return JournalEntry(study, stage, f"{stage}/1", True, 0.5, {"rows": 3}, "train", run)


def stages(run: str | None = None) -> list[str]:
    return [found.stage for found in read_entries("demo", run)]


def test_entries_come_back_as_they_were_for_their_study_and_run(journal: Path) -> None:
    one, other = entry("ingest_events"), entry("check_events", run="manual__2")
    for each in (one, other, entry("train_model", study="another")):
        append_entry(each)

    assert list(read_entries("demo")) == [one, other]
    assert stages("manual__2") == ["check_events"]


def test_a_journal_that_is_not_there_has_no_entries(journal: Path) -> None:
    assert stages() == []


@pytest.mark.parametrize(
    "torn", [b'{"at_unix": 17', b'{"stage": "x"}\n', b"[1]", b"\xff\x00\xfe", b"null"]
)
def test_a_line_that_cannot_be_read_is_skipped_and_swallows_no_later_one(
    journal: Path, caplog: pytest.LogCaptureFixture, torn: bytes
) -> None:
    append_entry(entry("ingest_events"))
    with journal.open("ab") as stream:
        stream.write(torn)
    append_entry(entry("check_events"))

    assert stages() == ["ingest_events", "check_events"]
    assert "stages.jsonl: 1 lines" in caplog.text


def test_a_whole_journal_is_read_without_a_warning(
    journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    append_entry(entry("ingest_events"))

    assert stages() == ["ingest_events"]
    assert caplog.text == ""
