"""What may be published: audits that passed, under a release that nobody took back."""

from pathlib import Path

import pytest

from pipelines.errors import PublicationGateClosed
from pipelines.identity import Verdict
from pipelines.publication.contract import AuditReference
from pipelines.publication.duckdb import publish, record_approval
from pipelines.publication.duckdb_reading import open_snapshot
from pipelines.publication.store import open_store
from pipelines.publication.writer import open_writer
from pipelines.releases import record_release, withdraw_release
from pipelines.settings import Settings, settings
from tests.pipelines.publication_examples import (
    PASSED,
    STUDY,
    approval_of,
    audited_anew,
    folders,
    numbers,
    predictions,
    publication,
    publish_number,
    recorded_release,
    release,
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "it's home"))
    return settings()


def recorded_verdicts(home: Settings) -> dict[str, str]:
    with open_writer(folders(home), 1) as writer:
        return dict(writer.execute("SELECT audit_id, verdict FROM audits").fetchall())


@pytest.mark.parametrize("verdict", ["fail", "cannot_tell"])
def test_a_generation_whose_audit_did_not_pass_leaves_the_readers_files_untouched(
    home: Settings, verdict: Verdict
) -> None:
    publish_number(home, 1)
    before = folders(home).snapshot.read_bytes(), folders(home).parquet.read_bytes()
    failed = AuditReference(
        audit_id="audit_predictions/bad", verdict=verdict, evidence_sha256="c" * 64
    )

    with pytest.raises(PublicationGateClosed, match=f"predictions says {verdict}"):
        publish(publication(2, audit=failed), predictions(2), home)

    assert (folders(home).snapshot.read_bytes(), folders(home).parquet.read_bytes()) == before


def test_a_release_whose_audit_did_not_pass_and_nobody_approved_publishes_nothing(
    home: Settings,
) -> None:
    """Such a release cannot be made by its class: what the gate says of one is asked apart."""
    standing = recorded_release()
    failed = standing.model_copy(update={"verdict": "fail"})
    with pytest.raises(PublicationGateClosed, match="model says fail"):
        publish(publication(1).model_copy(update={"release": failed}), predictions(1), home)
    assert open_store(home).list_generations(STUDY) == ()


def test_a_rejection_lands_in_the_table_at_once_and_once(home: Settings) -> None:
    rejected = approval_of(verdict="fail", decision="rejected")
    assert record_approval(rejected, home)
    assert not record_approval(rejected, home)
    with open_writer(folders(home), 1) as writer:
        asked = "SELECT decision, decided_by, reason, audit_verdict FROM approvals"
        assert writer.execute(asked).fetchall() == [
            ("rejected", '["a person"]', "looked at by a person", "fail")
        ]


def test_readers_see_an_approval_beside_what_was_published(home: Settings) -> None:
    publish_number(home, 1)
    record_approval(approval_of(model="train_model/0002", verdict="cannot_tell"), home)
    with open_snapshot(home) as snapshot:
        asked = "SELECT grounds, decision FROM approvals ORDER BY grounds"
        assert snapshot.execute(asked).fetchall() == [("gate", "approved"), ("people", "approved")]


def test_a_release_that_was_never_recorded_publishes_nothing(home: Settings) -> None:
    with pytest.raises(PublicationGateClosed, match="not in the record"):
        publish(publication(1, of=release()), predictions(1), home)


def test_an_audit_that_passed_cannot_be_said_to_have_failed(home: Settings) -> None:
    publish_number(home, 1)
    failed = PASSED.model_copy(update={"verdict": "cannot_tell"})
    with pytest.raises(
        PublicationGateClosed, match=r"with verdict pass, and .* with verdict cannot_tell"
    ):
        publish(publication(1, audit=failed), predictions(1), home)
    assert recorded_verdicts(home)[PASSED.audit_id] == "pass"
    assert numbers(open_store(home).read_current(STUDY)) == [1.0]


def test_a_contradicted_audit_takes_the_other_one_out_with_it(home: Settings) -> None:
    publish_number(home, 1)
    other = recorded_release(model="train_model/0002")
    failed = PASSED.model_copy(update={"verdict": "fail"})
    with pytest.raises(PublicationGateClosed, match="on the same evidence"):
        publish(publication(2, of=other, audit=failed), predictions(2), home)
    assert other.audit_key not in recorded_verdicts(home)


def test_scores_under_way_when_a_newer_release_came_are_still_published(home: Settings) -> None:
    under_way = publication(1)
    recorded_release(model="train_model/0002")
    assert publish(under_way, predictions(1), home).made


def test_a_superseded_release_publishes_nothing_when_the_one_after_it_was_withdrawn(
    home: Settings,
) -> None:
    under_way = publication(1)
    recorded_release(model="train_model/0002")
    withdraw_release(STUDY, "harms one group", "Ada")

    with pytest.raises(PublicationGateClosed, match=r"superseded, and .* none stands"):
        publish(under_way, predictions(1), home)
    assert open_store(home).list_generations(STUDY) == ()

    recorded_release(model="train_model/0003")
    assert publish(under_way, predictions(1), home).made


def test_a_superseded_release_of_a_model_withdrawn_under_another_audit_publishes_nothing(
    home: Settings,
) -> None:
    under_way = publication(1)
    record_release(STUDY, audited_anew(under_way.release))
    withdraw_release(STUDY, "harms one group", "Ada")
    recorded_release(model="train_model/0002")

    with pytest.raises(PublicationGateClosed, match="withdrawn under another audit"):
        publish(under_way, predictions(1), home)
