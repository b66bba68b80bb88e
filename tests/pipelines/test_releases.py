"""Which model may score is told by files that are only ever added."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.errors import ArtefactCorrupt, GateClosed, NoRelease, StoreLocked, StudyInvalid
from pipelines.releases import (
    Release,
    Verdict,
    current_release,
    list_releases,
    record_release,
    reinstate_release,
    withdraw_release,
)
from pipelines.settings import settings
from tests.pipelines.publication_examples import STUDY, recorded_release, release


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))


def entries() -> list[Path]:
    return sorted((settings().releases_dir / STUDY).glob("*.json"))


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


def test_going_back_to_an_older_model_is_a_new_entry() -> None:
    recorded_release(model="train_model/0001")
    recorded_release(model="train_model/0002")
    recorded_release(model="train_model/0001")

    assert current_release(STUDY).model_key == "train_model/0001"
    assert len(entries()) == 3


@pytest.mark.parametrize("verdict", ["fail", "cannot_tell"])
def test_a_release_whose_audit_did_not_pass_is_refused(verdict: Verdict) -> None:
    with pytest.raises(GateClosed, match=verdict):
        record_release(STUDY, release(verdict=verdict))
    assert entries() == []


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


def test_an_entry_whose_release_was_changed_is_no_release() -> None:
    recorded_release()
    only = entries()[0]
    entry = json.loads(only.read_text())
    entry["content"]["release"]["threshold"] = 0.9
    only.chmod(0o600)
    only.write_text(json.dumps(entry))

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
