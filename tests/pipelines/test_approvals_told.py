"""What an approval releases beside what stands, and what people are told."""

import re
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from pipelines.approvals.page import page_of, request_in, subject_of
from pipelines.approvals.requests import list_requests, newest_request
from pipelines.errors import ArtefactCorrupt, AwaitingApproval, EquipoiseError, GateClosed
from pipelines.journal import JournalEntry, append_entry
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.writer import open_writer
from pipelines.releases import current_release, list_releases, withdraw_release
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.release_model import release_model
from pipelines.stages.request_approval import request_approval
from pipelines.study import load_study
from tests.dags.installations import write_studies
from tests.dags.listeners import mail_server, webhook_server
from tests.pipelines.approval_examples import (
    OUT_OF_REACH,
    SHOWN,
    UNDECIDABLE,
    asking_study,
    audited_study,
    rows_published,
    study_by_sex,
)
from tests.pipelines.asked_people import ROWS, STUDY, Command, asked, evidence, only, outcome
from validation.evidence import load_evidence

SECONDS_A_DAY = 24 * 3600
# Everything that a page could turn into a script or a link.
SPELL = (
    "<script>alert(1)</script> [x](javascript:1) | # * https://a.example WWW.a.example a@b.example"
)


def test_an_approval_releases_no_other_audit(equipoise: Command) -> None:
    first = asked()
    other = audited_study(STUDY, b"other weights")
    assert outcome(other) == 25
    [read, newest] = list_requests(STUDY)
    assert (read.state, newest.state) == ("void", "waiting")
    # Who read the first one does not approve the second one unseen.
    assert equipoise.approve("Ada") == 26
    assert equipoise.approve("Ada", request=read.request.request_id) == 26
    assert rows_published(STUDY) == 0
    assert equipoise.approve("Ada", request=newest.request.request_id) == 0
    assert current_release(STUDY).audit_key == other

    with pytest.raises(GateClosed, match="another release stands"):
        release_model(STUDY, first)
    assert current_release(STUDY).audit_key == other


def test_a_withdrawn_model_is_not_released_by_its_old_approval(equipoise: Command) -> None:
    audit = asked()
    assert equipoise.approve("Ada") == 0
    withdraw_release(STUDY, "harms one group", "Grace")

    with pytest.raises(GateClosed, match="Grace withdrew this very model"):
        release_model(STUDY, audit)
    assert equipoise.approve("Ada") == 26
    assert rows_published(STUDY) == 0


def test_what_stood_before_is_audited_against_what_stands_and_asked_about_again(
    equipoise: Command,
) -> None:
    audit = asked()
    assert equipoise.approve("Ada") == 0
    other = audited_study(STUDY, b"other weights")
    assert outcome(other) == 25
    assert equipoise.approve("Ada") == 0

    assert outcome(audit) == 22
    assert current_release(STUDY).audit_key == other
    anew = audited_study(STUDY)
    assert anew != audit
    assert outcome(anew) == 25
    assert current_release(STUDY).audit_key == other


def test_a_model_that_waited_while_another_was_released_is_audited_again(
    equipoise: Command,
) -> None:
    first = asked(SHOWN, when_passed="ask")
    other = audited_study(STUDY, b"other weights")
    assert outcome(other) == 25
    newest = newest_request(STUDY)
    assert newest is not None
    assert equipoise.approve("Ada", request=newest.request.request_id) == 0

    # The first was put before people and judged while nothing stood.
    assert outcome(first) == 22
    [voided, used] = list_requests(STUDY)
    assert (voided.state, used.state) == ("void", "used")
    assert current_release(STUDY).audit_key == other


def test_a_study_that_says_something_else_of_itself_since_is_audited_again(
    equipoise: Command,
) -> None:
    audit = asked()
    file = settings().studies_dir / f"{STUDY}.yaml"
    text, owner = file.read_text(), load_study(STUDY).owner
    assert text.count(owner) == 1
    file.write_text(text.replace(owner, "Nobody who was asked"))

    assert equipoise.approve("Ada") == 26
    assert "what the study says of itself was changed" in (only().why or "")
    assert outcome(audit) == 22
    assert rows_published(STUDY) == 0


def test_asking_twice_is_one_request_and_releasing_twice_one_release(equipoise: Command) -> None:
    audit = asked()
    assert outcome(audit) == 25
    assert request_approval(STUDY, audit) == f"approvals/{only().request.request_id}"
    assert equipoise.approve("Ada") == 0
    assert (outcome(audit), request_approval(STUDY, audit)) == (0, "")
    assert len(list_releases(STUDY)) == 1


@pytest.mark.parametrize(
    ("at_least", "policy", "code"),
    [
        (SHOWN, {}, 0),
        (SHOWN, {"when_passed": "ask"}, 25),
        (UNDECIDABLE, {"when_cannot_tell": "close"}, 22),
        (OUT_OF_REACH, {}, 22),
    ],
)
def test_the_study_says_what_is_put_before_people(
    equipoise: Command, at_least: float, policy: dict[str, str], code: int
) -> None:
    write_studies(settings().studies_dir, demo=asking_study(at_least, **policy))
    audit = audited_study(STUDY)
    assert bool(request_approval(STUDY, audit)) == (code == 25)
    assert outcome(audit) == code
    assert len(list_requests(STUDY)) == (1 if code == 25 else 0)
    assert rows_published(STUDY) == (ROWS if code == 0 else 0)


def test_an_answer_that_was_written_into_the_record_by_hand_is_found(equipoise: Command) -> None:
    audit = asked(approvers=2)
    assert equipoise.approve("Ada") == 0
    newest = sorted((settings().approvals_dir / STUDY).glob("0*.json"))[-1]
    newest.chmod(0o600)
    newest.write_text(newest.read_text().replace("Ada", "Eve"))

    with pytest.raises(ArtefactCorrupt, match="cannot be trusted"):
        release_model(STUDY, audit)
    assert equipoise.approve("Grace") == 30
    assert rows_published(STUDY) == 0


def test_a_request_says_what_the_gate_could_not_tell_and_how_to_answer(equipoise: Command) -> None:
    audit = asked()
    with pytest.raises(AwaitingApproval) as waiting:
        release_model(STUDY, audit)
    words = str(waiting.value)
    assert "Ranks well enough: 0.806" in words
    assert "not by Tess who trained it" in words
    named = only().request.request_id
    assert f"equipoise approve demo --request {named} --as NAME" in words
    assert waiting.value.where.endswith("report.html")


def test_the_answers_stand_in_the_report_and_the_audited_bytes_stay(equipoise: Command) -> None:
    audit = asked()
    own = store().path(audit) / "report.html"
    before = own.read_bytes()
    append_entry(JournalEntry(STUDY, "audit_model", audit, made=True, seconds=1.0, counts={}))
    assert equipoise.reject("Ada <b>", "too few women & men") == 0
    code, output, errors = equipoise("report", STUDY, "--no-open")

    assert code == 0, errors
    shown = Path(output.strip()).read_text()
    assert "Ada &lt;b&gt; rejected it on" in shown
    assert "too few women &amp; men" in shown
    assert (own.read_bytes(), only().state) == (before, "rejected")


@pytest.mark.parametrize("then", ["ask", "close"])
def test_a_withheld_number_reaches_nobody_who_answers_or_looks(
    equipoise: Command, then: str
) -> None:
    write_studies(settings().studies_dir, demo=study_by_sex(when_cannot_tell=then))
    audit = audited_study(STUDY, withheld=("tpr",))
    append_entry(JournalEntry(STUDY, "audit_model", audit, made=True, seconds=1.0, counts={}))
    gate = load_evidence(evidence(audit)).gate
    assert gate is not None
    raw = {line.words for line in gate.lines if line.line == "Alike"}
    assert {reason.removeprefix("Alike: ") for reason in gate.reasons} == raw

    with pytest.raises(EquipoiseError) as refused:
        release_model(STUDY, audit)
    assert refused.value.exit_code == (25 if then == "ask" else 22)
    shown = [str(refused.value)]
    shown += [equipoise(*words)[1] for words in (("approvals",), ("show", STUDY))]
    shown += [equipoise("show", STUDY, "--json")[1]]
    shown += [page_of(listed) for listed in list_requests(STUDY)]
    kept = (settings().approvals_dir / STUDY).glob("*.json")
    shown += [file.read_text() for file in kept]
    assert len(shown) >= (7 if then == "ask" else 4)
    assert [text for text in shown if any(words in text for words in raw)] == []
    assert "too few subjects" in shown[0]


def test_an_answer_that_the_store_could_not_be_told_is_not_asked_for_again(
    equipoise: Command,
) -> None:
    audit = asked()
    folders = PublicationFolders(settings().publication_dir)
    with open_writer(folders, 5):
        file = folders.writer
    held = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    with Popen([sys.executable, "-c", held, str(file)], stdin=PIPE, stdout=PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        code, _, errors = equipoise("approve", STUDY, "--as", "Ada", "--reason", "few subjects")
        other.communicate(b"\n")

    assert code == 31
    assert "The answer is written down and counts" in errors
    assert f"equipoise run {STUDY}" in errors
    assert (only().state, len(only().answers)) == ("approved", 1)
    assert (outcome(audit), rows_published(STUDY)) == (0, ROWS)


def test_who_answers_is_told_once_that_a_request_awaits_and_no_number(equipoise: Command) -> None:
    with webhook_server() as hooks, mail_server() as mails:
        equipoise.patch.setenv("EQUIPOISE_ALERT_WEBHOOK", f"http://127.0.0.1:{hooks.port}/")
        equipoise.patch.setenv("EQUIPOISE_ALERT_SMTP", f"smtp://127.0.0.1:{mails.port}")
        equipoise.patch.setenv("EQUIPOISE_ALERT_MAIL_TO", "ana@example.org")
        audit = asked()
        assert outcome(audit) == 25
    request = only().request
    [told] = hooks.bodies
    assert {**told, "until": "", "at": ""} == {
        "study": STUDY,
        "request": request.request_id,
        "until": "",
        "at": "",
    }
    [mail] = mails.mails
    subject = f"Subject: Equipoise: {STUDY} awaits an approval"
    assert subject in mail.replace("\r\n ", " ").replace("\n ", " ")


def test_nothing_waits_where_nobody_was_asked(equipoise: Command) -> None:
    write_studies(settings().studies_dir, demo=asking_study())
    assert equipoise.approve("Ada") == 26
    assert equipoise("approvals", STUDY)[1] == "nobody was asked for an approval\n"
    assert newest_request(STUDY) is None


def test_the_page_for_people_names_the_bytes_and_renders_no_word_of_a_source(
    equipoise: Command,
) -> None:
    asked(approvers=2)
    assert equipoise.approve("Ada", SPELL) == 0
    listed = only()
    page = page_of(listed)
    for name, value in listed.request.bound.model_dump(exclude={"study", "verdict"}).items():
        assert str(value) in page, name
    assert "1 more person must approve" in page
    assert "<script" not in page
    assert "[x](" not in page
    assert re.findall(r"(?i)://|www\.|\S@\S", page) == []
    assert request_in(subject_of(listed.request)) == listed.request.request_id
    assert request_in("Release the model? (request 0123)") is None
