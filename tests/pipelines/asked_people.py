"""Studies put before people, and the command line by which these answer."""

import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from pipelines.approvals.request import ListedRequest
from pipelines.approvals.requests import list_requests
from pipelines.cli import main
from pipelines.errors import EquipoiseError
from pipelines.publication.folders import PublicationFolders
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.release_model import release_model
from tests.dags.installations import write_studies
from tests.pipelines.approval_examples import (
    UNDECIDABLE,
    asking_study,
    audited_study,
    rows_published,
)

STUDY = "demo"
ROWS = 4


@dataclass
class Command:
    """The command line in this process."""

    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output, errors."""
        self.patch.setattr(sys, "argv", ["equipoise", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self.capture.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    def approve(self, by: str, reason: str = "looked at it", **further: str) -> int:
        return self.answer("approve", by, reason, **further)

    def reject(self, by: str, reason: str = "looked at it", **further: str) -> int:
        return self.answer("reject", by, reason, **further)

    def answer(
        self, command: str, by: str, reason: str, *, account: str | None = None, request: str = ""
    ) -> int:
        """The exit code. account: of the operating system; of each name its own if none is said."""
        named = ["--request", request] if request else []
        own = (account or f"account of {by.strip().casefold()}").strip()
        with self.patch.context() as patch:
            patch.setattr("pipelines.approvals.people.local_account", lambda: own)
            return self(command, STUDY, "--as", by, "--reason", reason, *named)[0]


def asked(at_least: float = UNDECIDABLE, **approval: object) -> str:
    """A study whose audit is before people; the audit's key."""
    write_studies(settings().studies_dir, **{STUDY: asking_study(at_least, **approval)})
    audit = audited_study(STUDY)
    assert outcome(audit) == 25
    assert rows_published(STUDY) == 0
    return audit


def outcome(audit: str) -> int:
    """The exit code of trying to release."""
    try:
        release_model(STUDY, audit)
    except EquipoiseError as refused:
        return refused.exit_code
    return 0


def decisions() -> list[tuple[str, str]]:
    """Decision and reason of every approval that the store holds."""
    table = PublicationFolders(settings().publication_dir).writer
    with duckdb.connect(table, read_only=True) as reader:
        return reader.sql("SELECT decision, reason FROM approvals").fetchall()


def only() -> ListedRequest:
    [listed] = list_requests(STUDY)
    return listed


def evidence(audit: str) -> Path:
    return store().path(audit) / "evidence.json"
