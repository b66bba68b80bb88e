"""Who may answer: four eyes, one person however spelt, and who trained."""

import pytest

from pipelines.approvals.page import page_of
from pipelines.approvals.people import local_account, local_person
from pipelines.approvals.requests import newest_request, note_trainer
from pipelines.releases import current_release
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.request_approval import request_approval
from tests.dags.installations import write_studies
from tests.pipelines.approval_examples import (
    asking_study,
    audited_study,
    rows_published,
)
from tests.pipelines.asked_people import ROWS, STUDY, Command, asked, only, outcome

SECONDS_A_DAY = 24 * 3600
# Everything that a page could turn into a script or a link.
SPELL = (
    "<script>alert(1)</script> [x](javascript:1) | # * https://a.example WWW.a.example a@b.example"
)


def test_two_approvers_are_two_people(equipoise: Command) -> None:
    audit = asked(approvers=2)
    assert equipoise.approve("Ada", "the interval is wide") == 0
    assert (outcome(audit), rows_published(STUDY)) == (25, 0)
    assert equipoise.approve(" ada ") == 26
    assert (outcome(audit), rows_published(STUDY)) == (25, 0)

    assert equipoise.approve("Grace", "agreed") == 0
    assert rows_published(STUDY) == ROWS
    approval = current_release(STUDY).approval
    assert approval.decided_by == ("Ada", "Grace")
    assert approval.reason == "Ada: the interval is wide; Grace: agreed"
    assert [refused.why for refused in only().refused] == ["ada has answered already"]


def test_one_rejection_rejects_what_one_has_approved(equipoise: Command) -> None:
    audit = asked(approvers=2)
    assert (equipoise.approve("Ada"), equipoise.reject("Grace")) == (0, 0)
    assert (equipoise.approve("Joan"), outcome(audit), rows_published(STUDY)) == (26, 22, 0)


@pytest.mark.parametrize("again", ["account of ada", "another"])
def test_one_person_by_two_names_is_one_account(equipoise: Command, again: str) -> None:
    audit = asked(approvers=2)
    assert equipoise.approve("Ada") == 0
    code = 26 if again == "account of ada" else 0
    assert equipoise.approve("Grace", account=again) == code
    assert rows_published(STUDY) == (0 if code else ROWS)
    assert outcome(audit) == (25 if code else 0)


def test_the_trainers_account_is_no_second_pair_of_eyes_where_two_must_approve(
    equipoise: Command,
) -> None:
    audit = asked(approvers=2)
    assert equipoise.approve("Ada", account=local_account()) == 26
    assert "another one must approve" in only().refused[0].why
    assert (equipoise.approve("Grace"), equipoise.approve("Joan")) == (0, 0)
    assert (outcome(audit), rows_published(STUDY)) == (0, ROWS)


def test_no_variable_says_another_account(monkeypatch: pytest.MonkeyPatch) -> None:
    before = local_account()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody")
    assert local_account() == before != "somebody"


def test_a_model_that_was_rejected_says_so_when_people_are_asked_anew(equipoise: Command) -> None:
    asked()
    assert equipoise.reject("Ada", "too few women") == 0
    write_studies(settings().studies_dir, demo=asking_study(expires_after_days=3))
    anew = audited_study(STUDY)
    assert outcome(anew) == 25
    newest = newest_request(STUDY)
    assert newest is not None
    assert newest.request.bound.audit_key == anew
    words = "Ada rejected this very model on"
    assert [words in reason for reason in newest.request.reasons] == [False, True]
    assert words in page_of(newest)
    assert equipoise("approvals", STUDY)[1].count(words) == 1


@pytest.mark.parametrize(
    "name",
    [
        "Tess",
        "tess",
        " TESS ",
        "T.e-s s.",
        "Te\u200bss",
        "Te\u00adss\ufe0f",
        "\uff34\uff45\uff53\uff53",
        "T\u0435ss",
        "T\u03b5ss",
    ],
)
def test_who_trained_does_not_approve(equipoise: Command, name: str) -> None:
    audit = asked()
    assert only().request.trained_by == "Tess"
    assert equipoise.approve(name) == 26
    assert (outcome(audit), rows_published(STUDY)) == (25, 0)


def test_who_trained_may_approve_where_the_study_says_so_and_may_always_reject(
    equipoise: Command,
) -> None:
    asked(trainer_may_approve=True)
    assert equipoise.approve("Tess") == 0
    assert rows_published(STUDY) == ROWS

    write_studies(settings().studies_dir, demo=asking_study())
    assert outcome(audited_study(STUDY)) == 25
    assert equipoise.reject("Tess") == 0


def test_who_started_the_training_is_the_trainer_whoever_starts_the_run_that_asks(
    equipoise: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_studies(settings().studies_dir, demo=asking_study())
    audit = audited_study(STUDY)
    model = store().manifest(audit)["recipe"]["inputs"]["model"]
    note_trainer(STUDY, model, "Ada")
    note_trainer(STUDY, model, "Grace")

    assert request_approval(STUDY, audit, "Grace") == f"approvals/{only().request.request_id}"
    assert only().request.trained_by == "Ada"
    assert local_person() == "Tess"


@pytest.mark.parametrize(
    ("by", "reason"),
    [
        ("gate", "it passed"),
        ("Gate", "it passed"),
        ("g a t e.", "it passed"),
        ("g\u0430te", "it passed"),
        ("\u0399one", "two scripts"),
        ("None", "it passed"),
        ("sy\u2060stem", "it passed"),
        (" ", "why"),
        ("\u200b.", "why"),
        ("Ada", " "),
    ],
)
def test_nobody_answers_without_a_name_and_a_reason_or_as_the_gate(
    equipoise: Command, by: str, reason: str
) -> None:
    audit = asked()
    assert equipoise.approve(by, reason) == 26
    assert (outcome(audit), rows_published(STUDY)) == (25, 0)
