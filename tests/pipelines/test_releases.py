"""Which model may score is told by files that are only ever added."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.durable import only_writer
from pipelines.errors import ArtefactCorrupt, GateClosed, NoRelease, StoreLocked, StudyInvalid
from pipelines.identity import Verdict
from pipelines.releases import (
    Release,
    current_release,
    list_releases,
    record_release,
    reinstate_release,
    withdraw_release,
)
from pipelines.settings import settings
from tests.pipelines.publication_examples import STUDY, audited_anew, recorded_release, release


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))


def entries() -> list[Path]:
    return sorted((settings().releases_dir / STUDY).glob("0*.json"))


def head() -> Path:
    return settings().releases_dir / STUDY / "head.json"


def overwrite(file: Path, text: str) -> None:
    file.chmod(0o600)
    file.write_text(text)


def states() -> list[tuple[str, str]]:
    return [(listed.release.model_key, listed.state) for listed in list_releases(STUDY)]


def test_a_study_without_releases_has_none_that_stands() -> None:
    with pytest.raises(NoRelease, match="has no release"):
        current_release(STUDY)
    assert list_releases(STUDY) == ()


def test_the_last_recorded_release_stands() -> None:
    recorded_release(model="train_model/0001")
    second = recorded_release(model="train_model/0002")

    assert current_release(STUDY) == second
    assert states() == [("train_model/0001", "superseded"), ("train_model/0002", "current")]


def test_recording_the_standing_release_again_adds_no_file_and_keeps_its_time() -> None:
    first = recorded_release()
    again = recorded_release()

    assert again.created_at == first.created_at
    assert len(entries()) == 1


def test_going_back_to_an_older_model_is_a_persons_new_entry() -> None:
    first = recorded_release(model="train_model/0001")
    second = recorded_release(model="train_model/0002")
    with pytest.raises(GateClosed, match="another one followed it") as refused:
        record_release(STUDY, first)
    assert f"equipoise reinstate {STUDY} {first.release_id}" in refused.value.remedy
    assert current_release(STUDY) == second
    reinstate_release(STUDY, first.release_id, "the newer one drifts", "Ada")

    assert current_release(STUDY).model_key == "train_model/0001"
    assert len(entries()) == 3


def test_what_must_not_follow_what_stands_is_found_while_nobody_else_can_release() -> None:
    asked: list[str] = []

    def closed_by() -> list[str]:
        lock = settings().releases_dir / STUDY / ".lock"
        with pytest.raises(StoreLocked), only_writer(lock, 0.0):
            pass
        asked.append("once")
        return ["another one stands"]

    with pytest.raises(GateClosed, match="another one stands"):
        record_release(STUDY, release(), closed_by=closed_by)
    assert (asked, list_releases(STUDY)) == (["once"], ())


def test_a_release_of_the_time_before_approvals_was_decided_when_it_was_made() -> None:
    known = release()
    old = known.model_dump(mode="json", exclude={"approval"})
    read = [Release.model_validate(old).approval for _ in range(2)]
    assert [approval.decided_at for approval in read] == [known.created_at] * 2
    del old["created_at"]
    with pytest.raises(ValidationError):
        Release.model_validate(old)


@pytest.mark.parametrize("verdict", ["fail", "cannot_tell"])
def test_the_gate_approves_nothing_but_a_pass(verdict: Verdict) -> None:
    passed = release().model_dump()
    with pytest.raises(ValidationError, match="not one of this model, evidence and policy"):
        Release.of(
            **{
                name: value
                for name, value in passed.items()
                if name not in ("release_id", "created_at", "verdict", "approval")
            },
            verdict=verdict,
            approval=release().approval,
        )


def test_what_people_approved_names_them_in_the_record() -> None:
    record_release(STUDY, release(verdict="cannot_tell"))
    (listed,) = list_releases(STUDY)
    assert (listed.by, listed.reason) == ("a person", "looked at by a person")


def test_after_a_withdrawal_nothing_stands_not_even_the_model_before() -> None:
    recorded_release(model="train_model/0001")
    recorded_release(model="train_model/0002")
    withdraw_release(STUDY, "harms one group", "Ada")

    with pytest.raises(NoRelease, match="withdrawn by Ada"):
        current_release(STUDY)
    assert states() == [("train_model/0001", "superseded"), ("train_model/0002", "withdrawn")]
    assert list_releases(STUDY)[1].reason == "harms one group"


def test_a_withdrawn_release_cannot_be_recorded_again_by_a_rerun() -> None:
    recorded_release()
    withdraw_release(STUDY, "harms one group", "Ada")

    with pytest.raises(GateClosed, match="Ada withdrew"):
        recorded_release()


def test_a_withdrawn_model_does_not_come_back_under_another_audit() -> None:
    first = recorded_release()
    withdraw_release(STUDY, "harms one group", "Ada")

    with pytest.raises(GateClosed, match="Ada withdrew this very model"):
        record_release(STUDY, audited_anew(first))
    assert states() == [("train_model/0001", "withdrawn")]


def test_a_withdrawn_model_stays_out_while_another_one_stands() -> None:
    first = recorded_release(model="train_model/0001")
    withdraw_release(STUDY, "harms one group", "Ada")
    second = recorded_release(model="train_model/0002")

    with pytest.raises(GateClosed, match="Ada withdrew this very model"):
        record_release(STUDY, audited_anew(first))
    assert current_release(STUDY) == second


def test_a_reinstated_model_may_be_audited_and_released_anew() -> None:
    first = recorded_release()
    withdraw_release(STUDY, "a mistake", "Ada")
    reinstate_release(STUDY, first.release_id, "it was the wrong study", "Grace")

    assert record_release(STUDY, audited_anew(first)) == current_release(STUDY)


def test_a_person_can_reinstate_what_a_person_withdrew() -> None:
    first = recorded_release()
    withdraw_release(STUDY, "a mistake", "Ada")
    reinstate_release(STUDY, first.release_id, "it was the wrong study", "Grace")

    assert current_release(STUDY) == first
    assert recorded_release().created_at == first.created_at


def test_reinstating_an_unknown_release_is_refused() -> None:
    recorded_release()
    with pytest.raises(NoRelease, match="no release 0000"):
        reinstate_release(STUDY, "0000", "why", "Ada")


@pytest.mark.parametrize(("reason", "by"), [("", "Ada"), ("why", " ")])
def test_a_withdrawal_without_reason_or_name_is_refused(reason: str, by: str) -> None:
    standing = recorded_release()
    with pytest.raises(GateClosed, match="needs a reason"):
        withdraw_release(STUDY, reason, by)
    assert current_release(STUDY) == standing


def test_a_withdrawal_edits_no_earlier_file() -> None:
    recorded_release()
    before = entries()[0].read_bytes()
    withdraw_release(STUDY, "why", "Ada")

    assert entries()[0].read_bytes() == before
    assert [entry.name for entry in entries()] == ["000001.json", "000002.json"]


def test_an_edited_entry_is_found() -> None:
    recorded_release()
    withdraw_release(STUDY, "why", "Ada")
    first = entries()[0]
    first.chmod(0o600)
    first.write_text(first.read_text().replace("gate", "gave"))

    with pytest.raises(ArtefactCorrupt, match=r"000002\.json does not follow"):
        current_release(STUDY)


def test_a_removed_entry_is_found() -> None:
    for model in ("0001", "0002", "0003"):
        recorded_release(model=f"train_model/{model}")
    entries()[1].unlink()

    with pytest.raises(ArtefactCorrupt, match="does not follow"):
        current_release(STUDY)


def test_without_its_withdrawal_a_release_does_not_stand_again() -> None:
    recorded_release()
    withdraw_release(STUDY, "harms one group", "Ada")
    entries()[1].unlink()

    with pytest.raises(ArtefactCorrupt, match=r"head\.json does not agree"):
        current_release(STUDY)
    with pytest.raises(ArtefactCorrupt, match=r"head\.json does not agree"):
        recorded_release(model="train_model/0002")


def test_an_edit_of_the_newest_entry_is_found() -> None:
    recorded_release()
    withdraw_release(STUDY, "harms one group", "Ada")
    newest = entries()[1]
    overwrite(newest, newest.read_text().replace('"withdrawal"', '"reinstatement"'))

    with pytest.raises(ArtefactCorrupt, match="does not agree"):
        current_release(STUDY)


@pytest.mark.parametrize("count", [1, 2])
def test_entries_without_a_head_are_not_believed(count: int) -> None:
    for number in range(count):
        recorded_release(model=f"train_model/{number:04d}")
    head().unlink()

    with pytest.raises(ArtefactCorrupt, match=r"head\.json is missing"):
        current_release(STUDY)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"count": 1}', '{"number": 1, "sha256": ""}'])
def test_a_head_that_is_none_is_told_as_such(text: str) -> None:
    recorded_release()
    overwrite(head(), text)

    with pytest.raises(ArtefactCorrupt, match="cannot be read as a head"):
        current_release(STUDY)


def test_a_removed_record_whose_head_was_left_is_found() -> None:
    recorded_release()
    entries()[0].unlink()

    with pytest.raises(ArtefactCorrupt, match="does not agree"):
        current_release(STUDY)


KILLED_BEFORE_ITS_HEAD = (
    "import os\n"
    "from pipelines.ledger import Ledger\n"
    "from tests.pipelines.publication_examples import STUDY, recorded_release\n"
    "from pipelines.releases import withdraw_release\n"
    "def killed_after_an_entry(ledger, head):\n"
    "    if head.count:\n"
    "        os._exit(9)\n"
    "    write_head(ledger, head)\n"
    "write_head = Ledger._write_head\n"
    "Ledger._write_head = killed_after_an_entry\n"
)


def killed(change: str) -> None:
    """Make the change in a process that dies between the entry and its head."""
    script = KILLED_BEFORE_ITS_HEAD + change
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9


def test_a_process_killed_before_the_first_head_leaves_a_release_that_stands() -> None:
    killed("recorded_release()")
    assert states() == [("train_model/0001", "current")]

    withdraw_release(STUDY, "why", "Ada")
    assert states() == [("train_model/0001", "withdrawn")]
    assert json.loads(head().read_text())["count"] == 2


def test_a_withdrawal_killed_before_its_head_counts_and_the_next_change_follows_it() -> None:
    recorded_release()
    killed("withdraw_release(STUDY, 'why', 'Ada')")
    with pytest.raises(NoRelease, match="withdrawn by Ada"):
        current_release(STUDY)

    second = recorded_release(model="train_model/0002")
    assert current_release(STUDY) == second
    assert [entry.name for entry in entries()] == ["000001.json", "000002.json", "000003.json"]


def test_two_entries_more_than_the_head_says_are_not_believed() -> None:
    recorded_release()
    old = head().read_text()
    withdraw_release(STUDY, "why", "Ada")
    recorded_release(model="train_model/0002")
    overwrite(head(), old)

    with pytest.raises(ArtefactCorrupt, match="does not agree"):
        current_release(STUDY)


def test_a_refused_change_on_an_empty_record_leaves_it_empty() -> None:
    with pytest.raises(NoRelease):
        withdraw_release(STUDY, "why", "Ada")
    assert list_releases(STUDY) == ()
    assert recorded_release() == current_release(STUDY)


def test_reading_while_another_process_writes_never_finds_the_record_corrupt() -> None:
    script = (
        "from tests.pipelines.publication_examples import recorded_release\n"
        "for number in range(60):\n"
        "    recorded_release(model=f'train_model/{number:04d}')\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], env=os.environ.copy()) as writer:
        while writer.poll() is None:
            list_releases(STUDY)
    assert writer.returncode == 0
    assert len(list_releases(STUDY)) == 60


def test_an_entry_whose_release_was_changed_is_no_release() -> None:
    recorded_release()
    only = entries()[0]
    entry = json.loads(only.read_text())
    entry["content"]["release"]["threshold"] = 0.9
    text = json.dumps(entry)
    overwrite(only, text)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    overwrite(head(), json.dumps({"count": 1, "sha256": sha256}))

    with pytest.raises(ArtefactCorrupt, match="no release"):
        current_release(STUDY)


def test_a_draft_that_a_killed_process_left_is_no_entry() -> None:
    standing = recorded_release()
    (settings().releases_dir / STUDY / ".draft").write_text("half an ent")

    assert current_release(STUDY) == standing
    assert recorded_release(model="train_model/0002") == current_release(STUDY)


def test_the_name_of_a_release_is_its_content_and_not_its_time() -> None:
    assert release().release_id == release().release_id
    assert release().release_id != release(model="train_model/0002").release_id
    assert len(release().release_id) == 16


def test_a_release_under_a_false_name_is_no_release() -> None:
    content = release().model_dump() | {"release_id": "0" * 16}
    with pytest.raises(ValidationError, match="release_id"):
        Release.model_validate(content)


def test_a_release_cannot_be_recorded_for_another_study() -> None:
    with pytest.raises(StudyInvalid, match="cannot be recorded"):
        record_release("other_study", release())


def test_a_study_name_cannot_leave_its_folder() -> None:
    with pytest.raises(StudyInvalid, match="letters"):
        current_release("../elsewhere")


def test_many_processes_recording_at_once_lose_no_entry() -> None:
    script = (
        "import sys\n"
        "from tests.pipelines.publication_examples import recorded_release\n"
        "for number in range(5):\n"
        "    recorded_release(model=f'train_model/{sys.argv[1]}{number:03d}')\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(name)], env=os.environ.copy())
        for name in range(3)
    ]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    assert len(entries()) == 15
    assert len(list_releases(STUDY)) == 15


def test_a_record_that_another_process_holds_is_locked_and_says_by_whom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipelines.ledger.LOCK_WAIT_SECONDS", 0.1)
    recorded_release()
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from pipelines.durable import only_writer\n"
        "with only_writer(Path(sys.argv[1]), 5):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    lock = str(settings().releases_dir / STUDY / ".lock")
    with subprocess.Popen(
        [sys.executable, "-c", script, lock], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreLocked, match=f"id {holder.pid}"):
            withdraw_release(STUDY, "why", "Ada")
        holder.kill()
    # The lock went with its process.
    withdraw_release(STUDY, "why", "Ada")
