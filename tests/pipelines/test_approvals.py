"""Whom the gate asks, whose answer counts, and for which bytes: read off the published table."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.approvals.requests import approvals_of, list_requests
from pipelines.errors import GateClosed
from pipelines.releases import current_release
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.release_model import release_model
from tests.dags.installations import write_studies
from tests.pipelines.approval_examples import (
    asking_study,
    audited_study,
    rewrite,
    rows_published,
)
from tests.pipelines.asked_people import (
    ROWS,
    STUDY,
    Command,
    asked,
    decisions,
    evidence,
    only,
    outcome,
)

PassDays = Callable[[float], None]


@pytest.fixture
def pass_days(monkeypatch: pytest.MonkeyPatch) -> PassDays:
    """Moves the clock of requests, which stands still otherwise."""
    moments = [datetime.now(UTC)]
    monkeypatch.setattr("pipelines.approvals.requests._now", lambda: moments[-1])
    return lambda days: moments.append(moments[-1] + timedelta(days=days))


def test_an_approval_releases_and_the_verdict_stays_what_it_is(equipoise: Command) -> None:
    audit = asked()
    code, output, errors = equipoise("approve", STUDY, "--as", "Ada", "--reason", "few subjects")

    assert code == 0, errors
    release = current_release(STUDY)
    assert f"released: release {release.release_id}" in output
    assert (release.verdict, release.approval.grounds) == ("cannot_tell", "people")
    # One account on the machine: another person than the trainer may use it, and that is said.
    reason = "few subjects (from the account that started the training)"
    assert (release.approval.decided_by, release.approval.reason) == (("Ada",), reason)
    assert reason in equipoise("approvals", STUDY)[1]
    assert release.audit_key == audit
    assert decisions() == [("approved", reason)]
    assert rows_published(STUDY) == ROWS
    assert only().state == "used"


def test_a_rejection_releases_nothing_ever_and_its_reason_is_shown(equipoise: Command) -> None:
    audit = asked()
    assert equipoise.reject("Ada", "too few women") == 0
    assert equipoise.approve("Grace") == 26

    with pytest.raises(GateClosed, match="Ada rejected it: too few women"):
        release_model(STUDY, audit)
    assert rows_published(STUDY) == 0
    assert [listed.why for listed in approvals_of(audit)] == ["too few women"]
    shown = json.loads(equipoise("show", STUDY, "--json")[1])
    assert [(each["state"], each["why"]) for each in shown["approvals"]] == [
        ("rejected", "too few women")
    ]
    assert "too few women" in equipoise("approvals")[1]
    assert decisions() == [("rejected", "too few women")]


def test_an_expired_request_takes_no_answer_and_the_next_run_asks_anew(
    equipoise: Command, pass_days: PassDays
) -> None:
    write_studies(settings().studies_dir, demo=asking_study(expires_after_days=2))
    audit = audited_study(STUDY)
    assert outcome(audit) == 25
    pass_days(1.9)
    assert only().state == "waiting"
    pass_days(0.1)

    assert only().state == "expired"
    assert equipoise.approve("Ada") == 26
    assert rows_published(STUDY) == 0
    assert outcome(audit) == 25
    assert [listed.state for listed in list_requests(STUDY)] == ["expired", "waiting"]


def test_an_approval_that_was_not_used_in_time_releases_nothing(
    equipoise: Command, monkeypatch: pytest.MonkeyPatch, pass_days: PassDays
) -> None:
    write_studies(settings().studies_dir, demo=asking_study(expires_after_days=2))
    audit = audited_study(STUDY)
    assert outcome(audit) == 25
    # The process ends between the answer and the release.
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.stages.release_model.release_model", lambda *_: "ended/here")
        assert equipoise.approve("Ada") == 0
    assert only().state == "approved"
    pass_days(2.1)

    assert only().state == "expired"
    assert outcome(audit) == 25
    assert rows_published(STUDY) == 0


def of_input(name: str, file: str) -> Callable[[str], Path]:
    return lambda audit: store().path(store().manifest(audit)["recipe"]["inputs"][name]) / file


@pytest.mark.parametrize("answer", ["before the change", "after the change"])
@pytest.mark.parametrize(
    ("file", "words"),
    [
        (evidence, "the evidence was changed"),
        (of_input("model", "weights.txt"), "the model was changed"),
        (of_input("events", "events.txt"), "the data were changed"),
        (of_input("sequences", "steps.txt"), "the data were changed"),
    ],
)
@pytest.mark.parametrize("hidden", [True, False], ids=["manifest too", "file alone"])
def test_a_byte_changed_after_the_request_voids_it(
    equipoise: Command,
    monkeypatch: pytest.MonkeyPatch,
    file: Callable[[str], Path],
    words: str,
    answer: str,
    hidden: bool,
) -> None:
    audit = asked()
    if answer == "before the change":
        monkeypatch.setattr("pipelines.stages.release_model.release_model", lambda *_: "ended/here")
        assert equipoise.approve("Ada") == 0
    changed = file(audit)
    text = changed.read_bytes() + b" "
    if hidden:
        rewrite(changed, text)
    else:
        changed.chmod(0o600)
        changed.write_bytes(text)

    assert (only().state, words in (only().why or "")) == ("void", True)
    assert equipoise.approve("Grace") == 26
    monkeypatch.undo()
    monkeypatch.setenv("EQUIPOISE_HOME", str(changed.parents[3]))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(changed.parents[4] / "studies"))
    assert outcome(audit) != 0
    assert rows_published(STUDY) == 0


def test_a_void_request_stays_void_when_the_bytes_come_back(equipoise: Command) -> None:
    audit = asked()
    weights = of_input("model", "weights.txt")(audit)
    rewrite(weights, b"other weights")
    assert equipoise.approve("Ada") == 26
    rewrite(weights, b"the weights")

    assert equipoise.approve("Ada") == 26
    assert only().state == "void"
    assert outcome(audit) == 25
    assert [listed.state for listed in list_requests(STUDY)] == ["void", "waiting"]
    assert rows_published(STUDY) == 0


def test_a_policy_changed_after_the_request_voids_it(equipoise: Command) -> None:
    audit = asked()
    write_studies(settings().studies_dir, demo=asking_study(trainer_may_approve=True))

    assert equipoise.approve("Ada") == 26
    assert only().why == "the study's audit policy was changed"
    assert outcome(audit) == 22
    assert rows_published(STUDY) == 0
