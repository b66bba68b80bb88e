"""Whom the gate asks, whose answer counts, and for which bytes: read off the published table."""

import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen

import duckdb
import pytest

from pipelines.approvals.page import page_of, request_in, subject_of
from pipelines.approvals.people import local_account, local_person
from pipelines.approvals.request import ListedRequest
from pipelines.approvals.requests import approvals_of, list_requests, newest_request, note_trainer
from pipelines.cli import main
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
    rewrite,
    rows_published,
    study_by_sex,
)
from validation.evidence import load_evidence

STUDY = "demo"
ROWS = 4
# Everything that a page could turn into a script or a link.
SPELL = (
    "<script>alert(1)</script> [x](javascript:1) | # * https://a.example WWW.a.example a@b.example"
)
SECONDS_A_DAY = 24 * 3600


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


@pytest.fixture
def equipoise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))
    monkeypatch.setenv("EQUIPOISE_PERSON", "Tess")
    return Command(monkeypatch, capsys)


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


def test_an_expired_request_takes_no_answer_and_the_next_run_asks_anew(equipoise: Command) -> None:
    write_studies(settings().studies_dir, demo=asking_study(expires_after_days=0.5 / SECONDS_A_DAY))
    audit = audited_study(STUDY)
    assert outcome(audit) == 25
    time.sleep(0.6)

    assert only().state == "expired"
    assert equipoise.approve("Ada") == 26
    assert rows_published(STUDY) == 0
    assert outcome(audit) == 25
    assert [listed.state for listed in list_requests(STUDY)] == ["expired", "waiting"]


def test_an_approval_that_was_not_used_in_time_releases_nothing(
    equipoise: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_studies(settings().studies_dir, demo=asking_study(expires_after_days=2 / SECONDS_A_DAY))
    audit = audited_study(STUDY)
    assert outcome(audit) == 25
    # The process ends between the answer and the release.
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.stages.release_model.release_model", lambda *_: "ended/here")
        assert equipoise.approve("Ada") == 0
    assert only().state == "approved"
    time.sleep(2.1)

    assert only().state == "expired"
    assert outcome(audit) == 25
    assert rows_published(STUDY) == 0


def evidence(audit: str) -> Path:
    return store().path(audit) / "evidence.json"


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
