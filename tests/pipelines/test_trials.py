"""Every trial is kept: what was looked at cannot be taken back, edited or moved unseen."""

import json
import math
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipelines import ledger, trials
from pipelines.errors import ArtefactCorrupt, StoreLocked, StudyInvalid
from pipelines.ledger import BEFORE_THE_FIRST, Ledger
from pipelines.settings import Settings, settings
from pipelines.trials import (
    Trial,
    aligned_performance,
    overfitting_of,
    record_trial,
    trials_of,
)
from validation.overfitting import overfitting_evidence

STUDY = "toy_market"
NOON = datetime(2022, 12, 30, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))


def trial(number: int = 1, **changes: Any) -> Trial:
    """A trial on 30 blocks; the number decides its id and its performance."""
    performance = np.random.default_rng(number).normal(0.01, 0.1, 30)
    content = {
        "trial_id": f"predict_holdout/{number:04d}",
        "model_key": f"train_model/{number:04d}",
        "sequences_key": "build_sequences/0001",
        "config": {"hidden_size": 8 * number, "seeds": [1, 2], "dropout": 0.1},
        "metric": "mae",
        "blocks": tuple(range(100, 130)),
        "performance": tuple(performance.tolist()),
        "block_sessions": 22,
        "recorded_at": NOON,
    }
    return Trial.model_validate(content | changes)


def recorded(count: int) -> list[Path]:
    for number in range(1, count + 1):
        record_trial(STUDY, trial(number))
    return entries()


def folder() -> Path:
    return settings().trials_dir / STUDY


def entries() -> list[Path]:
    return sorted(folder().glob("0*.json"))


def overwrite(file: Path, text: str) -> None:
    file.chmod(0o600)
    file.write_text(text)


def found_corrupt(by: str) -> bool:
    """The reader, the next writer and the evidence all find it."""
    for use in (lambda: trials_of(STUDY), lambda: record_trial(STUDY, trial(99))):
        with pytest.raises(ArtefactCorrupt, match=by):
            use()
    evidence = overfitting_of(STUDY, trial(1).trial_id)
    return not evidence.chain_is_whole and re.search(by, str(evidence.reason)) is not None


def test_a_study_without_trials_has_none() -> None:
    ledger = trials_of(STUDY)
    assert (ledger.trials, ledger.sha256) == ((), BEFORE_THE_FIRST)


def test_trials_are_numbered_in_the_order_of_their_recording_and_come_back_as_they_went() -> None:
    assert [record_trial(STUDY, trial(number)) for number in (3, 1, 2)] == [1, 2, 3]
    assert trials_of(STUDY).trials == (trial(3), trial(1), trial(2))


def test_the_sha256_is_the_heads_and_changes_with_every_trial() -> None:
    heads = []
    for number in (1, 2, 3):
        record_trial(STUDY, trial(number))
        heads.append(trials_of(STUDY).sha256)
        assert json.loads((folder() / "head.json").read_text())["sha256"] == heads[-1]
    assert len(set(heads)) == 3


def test_the_same_trial_again_adds_nothing_whenever_it_is_seen() -> None:
    recorded(3)
    later = trial(2, recorded_at=NOON + timedelta(days=40))
    assert record_trial(STUDY, later) == 2
    assert len(entries()) == 3
    assert trials_of(STUDY).trials[1].recorded_at == NOON


@pytest.mark.parametrize(
    "change",
    [
        {"performance": (0.5, *trial(2).performance[1:])},
        {"config": {"hidden_size": 9}},
        {"model_key": "train_model/0009"},
        {"metric": "qlike"},
        {"block_sessions": 5},
    ],
)
def test_the_same_id_with_other_content_is_refused(change: dict[str, Any]) -> None:
    recorded(3)
    before = trials_of(STUDY)
    with pytest.raises(ArtefactCorrupt, match="Trial 2 was recorded"):
        record_trial(STUDY, trial(2, **change))
    assert trials_of(STUDY) == before


def test_each_study_has_a_ledger_of_its_own() -> None:
    recorded(2)
    assert record_trial("another_market", trial(7)) == 1
    assert len(trials_of(STUDY).trials) == 2


def test_another_installation_is_read_when_it_is_named(tmp_path: Path) -> None:
    there = Settings(home=tmp_path / "there", studies_dir=tmp_path)
    record_trial(STUDY, trial(1), there)
    assert trials_of(STUDY, there).trials == (trial(1),)
    assert trials_of(STUDY).trials == ()
    assert overfitting_of(STUDY, trial(1).trial_id, there).trials == 1


def test_a_name_that_leaves_the_folder_is_refused() -> None:
    with pytest.raises(StudyInvalid):
        record_trial("../elsewhere", trial())


# ---- planted faults ---------------------------------------------------------------------------


@pytest.mark.parametrize("deleted", [0, 1])
def test_a_deleted_earlier_trial_is_found(deleted: int) -> None:
    recorded(3)[deleted].unlink()
    assert found_corrupt(by="does not follow")


def test_a_deleted_last_trial_is_found() -> None:
    recorded(3)[-1].unlink()
    assert found_corrupt(by=r"head\.json does not agree")


def test_a_last_trial_deleted_with_the_head_is_found() -> None:
    recorded(3)[-1].unlink()
    (folder() / "head.json").unlink()
    assert found_corrupt(by=r"head\.json is missing")


def test_a_deleted_trial_whose_successors_were_renumbered_is_found() -> None:
    files = recorded(3)
    files[1].unlink()
    files[2].rename(files[1])
    assert found_corrupt(by="does not follow")


@pytest.mark.parametrize("edited", [0, 1, 2])
def test_an_edited_number_is_found(edited: int) -> None:
    file = recorded(3)[edited]
    number = repr(trial(edited + 1).performance[4])
    assert file.read_text().count(number) == 1
    overwrite(file, file.read_text().replace(number, "0.0"))
    assert found_corrupt(by="does not agree" if edited == 2 else "does not follow")


def test_two_trials_that_changed_places_are_found() -> None:
    first, second, _ = recorded(3)
    texts = first.read_text(), second.read_text()
    overwrite(first, texts[1])
    overwrite(second, texts[0])
    assert found_corrupt(by="does not follow")


def test_an_entry_that_is_no_trial_is_found() -> None:
    recorded(1)
    ledger = Ledger(folder())
    with ledger.writing():
        ledger.add({"kind": "release"})
    assert found_corrupt(by="no trial")


def test_a_trial_that_stands_there_twice_is_found() -> None:
    recorded(1)
    ledger = Ledger(folder())
    with ledger.writing():
        ledger.add(trial(1, metric="qlike").model_dump(mode="json"))
    assert found_corrupt(by="twice")


# ---- writers at the same time -----------------------------------------------------------------

WRITER = (
    "import sys\n"
    "from pipelines.trials import record_trial\n"
    "from tests.pipelines.test_trials import STUDY, trial\n"
    "for number in range(1, 21):\n"
    "    record_trial(STUDY, trial(number))\n"
    "    record_trial(STUDY, trial(int(sys.argv[1]) + number))\n"
)


def test_two_writers_lose_and_double_no_trial_and_no_reader_finds_it_corrupt() -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, offset], env=os.environ.copy())
        for offset in ("100", "200")
    ]
    while any(writer.poll() is None for writer in writers):
        trials_of(STUDY)
    assert [writer.wait() for writer in writers] == [0, 0]
    ids = [known.trial_id for known in trials_of(STUDY).trials]
    assert len(ids) == 60
    assert set(ids) == {trial(start + n).trial_id for start in (0, 100, 200) for n in range(1, 21)}


def test_a_trial_is_added_after_one_reading_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(5)
    read, reading = [], Path.read_bytes

    def counting(path: Path) -> bytes:
        read.append(path.name)
        return reading(path)

    monkeypatch.setattr(Path, "read_bytes", counting)
    record_trial(STUDY, trial(6))
    assert sorted(name for name in read if name[0] == "0") == [
        f"00000{n}.json" for n in range(1, 6)
    ]


def test_a_trial_waits_longer_for_the_ledger_than_other_writers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert trials.LOCK_WAIT_SECONDS >= 10 * ledger.LOCK_WAIT_SECONDS
    monkeypatch.setattr(trials, "LOCK_WAIT_SECONDS", 0.1)
    with Ledger(folder()).writing(), pytest.raises(StoreLocked, match=r"waited 0\.1 s"):
        record_trial(STUDY, trial(1))


# ---- the trial itself -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"performance": (math.nan,) * 30},
        {"performance": (math.inf,) * 30},
        {"performance": (0.1,) * 29},
        {"blocks": tuple(range(30, 0, -1))},
        {"blocks": (1, 1, *range(3, 31))},
        {"blocks": (), "performance": ()},
        {"trial_id": ""},
        {"subject": 17},
    ],
)
def test_a_trial_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        trial(1, **change)


# ---- alignment and evidence -------------------------------------------------------------------


def test_trials_are_compared_on_the_blocks_of_the_one_that_is_judged() -> None:
    one = trial(1, blocks=(2, 4), performance=(0.2, 0.4))
    two = trial(2, blocks=(2, 3, 4, 6), performance=(2.0, 3.0, 4.0, 6.0))
    blocks, performance = aligned_performance(one, (one, two))
    assert blocks == (2, 4)
    np.testing.assert_array_equal(performance, [[0.2, 2.0], [0.4, 4.0]])


@pytest.mark.parametrize(
    "change",
    [
        {"metric": "qlike"},
        {"block_sessions": 5},
        {"question_sha256": "another"},
        {"blocks": (1, 2), "performance": (0.1, 0.2)},
    ],
)
def test_trials_of_another_loss_question_or_period_are_not_aligned(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="loss"):
        aligned_performance(trial(1), (trial(1), trial(2, **change)))


def test_a_short_trial_is_counted_and_takes_no_number_from_the_others() -> None:
    recorded(4)
    before = overfitting_of(STUDY, trial(3).trial_id)
    record_trial(STUDY, trial(9, blocks=(1, 2), performance=(0.1, 0.2)))
    after = overfitting_of(STUDY, trial(3).trial_id)

    assert (before.trials, after.trials) == (4, 5)
    assert (after.pbo, after.blocks) == (before.pbo, before.blocks)
    assert after.pbo is not None


def test_the_same_trial_measured_with_another_rounding_is_the_same() -> None:
    record_trial(STUDY, trial(1))
    rounded = tuple(number + 3e-16 for number in trial(1).performance)

    assert record_trial(STUDY, trial(1, performance=rounded)) == 1
    with pytest.raises(ArtefactCorrupt, match="another content"):
        record_trial(STUDY, trial(1, performance=tuple(number + 1e-6 for number in rounded)))


def test_the_evidence_takes_trials_and_head_from_the_ledger() -> None:
    recorded(4)
    evidence = overfitting_of(STUDY, trial(3).trial_id)
    expected = overfitting_evidence(
        [trial(number).performance for number in (1, 2, 3, 4)], 2, trials_of(STUDY).sha256
    )
    assert evidence == expected
    assert (evidence.trials, evidence.blocks) == (4, 30)
    assert evidence.pbo is not None


def test_trials_that_cannot_be_compared_are_counted() -> None:
    recorded(3)
    before = overfitting_of(STUDY, trial(2).trial_id)
    record_trial(STUDY, trial(4, metric="qlike"))
    evidence = overfitting_of(STUDY, trial(2).trial_id)
    assert (evidence.trials, evidence.pbo) == (4, before.pbo)
    assert (evidence.deflated_sharpe or 1.0) < (before.deflated_sharpe or 0.0)


@pytest.mark.parametrize(("own", "told"), [(19, "share 19 blocks"), (20, "None")])
def test_fewer_than_twenty_blocks_of_the_judged_trial_are_said(own: int, told: str) -> None:
    whole, short = trial(1), trial(2)
    record_trial(STUDY, whole)
    record_trial(STUDY, trial(2, blocks=short.blocks[:own], performance=short.performance[:own]))
    evidence = overfitting_of(STUDY, short.trial_id)
    assert (evidence.trials, evidence.blocks) == (2, own)
    assert told in str(evidence.pbo_reason)
    assert told in str(evidence.reason)


def test_a_single_trial_is_said() -> None:
    recorded(1)
    evidence = overfitting_of(STUDY, trial(1).trial_id)
    assert evidence.trials == 1
    assert "nothing to choose" in str(evidence.pbo_reason)
    assert evidence.deflated_sharpe is not None


def test_a_trial_is_not_judged_before_it_is_recorded() -> None:
    recorded(1)
    with pytest.raises(ValueError, match="before it is judged"):
        overfitting_of(STUDY, trial(2).trial_id)
