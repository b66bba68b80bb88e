"""Prune: what somebody uses, or used a short while ago, stays."""

import os
import shutil
from collections.abc import Iterator
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest

from pipelines.errors import BackupInvalid, StudyInvalid
from pipelines.prune import carry_out, plan_prune
from pipelines.settings import Settings
from pipelines.training_process import one_attempt_at_a_time
from tests.pipelines.prune_examples import age, kept, make, note_use, prune, store


def test_what_was_made_or_used_in_the_days_named_stays(home: Settings) -> None:
    young = make(home, "ingest_events", number=1, days_old=6)
    reused, forgotten = make(home, "train_model", number=2), make(home, "train_model", number=3)
    for key in (forgotten, reused):
        note_use(key, days_ago=20)
    note_use(reused, days_ago=6)
    make(home, "train_model", number=4, days_old=0.5)
    note_use(reused, days_ago=5)

    assert prune(home) == {forgotten}
    assert prune(home, older_than_days=1) == {young}  # the newest use of a stage is kept


def test_less_than_a_day_is_refused(home: Settings) -> None:
    with pytest.raises(StudyInvalid):
        plan_prune(store(home), home, older_than_days=0.5)


def test_a_home_whose_restore_did_not_end_is_pruned_by_nobody(home: Settings) -> None:
    there = {make(home, "ingest_events", number=number) for number in (1, 2)}
    plan = plan_prune(store(home), home)
    (home.home / "restoring").touch()

    with pytest.raises(BackupInvalid, match="did not end"):
        plan_prune(store(home), home)
    with pytest.raises(BackupInvalid, match="did not end"):
        carry_out(plan, store(home))
    assert kept(home) == there


def test_what_a_run_took_up_after_it_was_listed_is_put_back(home: Settings) -> None:
    taken, left = make(home, "ingest_events", number=1), make(home, "ingest_events", number=2)
    plan = plan_prune(store(home), home)
    note_use(taken, days_ago=0)

    assert carry_out(plan, store(home)) == 1
    assert kept(home) == {taken}
    store(home).open(taken)
    # It is the newest of its stage now, and stays.
    assert plan_prune(store(home), home).removals == ()
    assert left not in kept(home)


@pytest.fixture
def under_way(home: Settings) -> Iterator[Path]:
    """A training of the day before yesterday that still runs: it holds its workspace's lock."""
    workspace = home.artefacts_dir / "train_model" / ".work-0123456789abcdef"
    workspace.mkdir(parents=True)
    with (workspace / ".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        age(workspace, 20)
        yield workspace


def test_while_a_training_runs_all_stays_that_was_used_since_a_day_before_it(
    home: Settings, under_way: Path
) -> None:
    input_of_it = make(home, "build_sequences", number=1, days_old=20.5)
    older = make(home, "build_sequences", number=2, days_old=22)

    assert prune(home) == {older}
    assert under_way.exists()
    assert input_of_it in kept(home)


def test_what_killed_processes_left_goes_after_a_day(home: Settings) -> None:
    folder = home.artefacts_dir / "train_model"
    names = [".work-old", ".work-new", ".draft-old-1-x", ".draft-new-1-x", ".trash-any"]
    for name in names:
        (folder / name).mkdir(parents=True)
        age(folder / name, 30 if "old" in name else 0)

    assert prune(home) == set()
    assert {path.name for path in folder.iterdir()} == {".work-new", ".draft-new-1-x"}


def test_a_file_deep_in_a_workspace_shows_that_somebody_works_there(home: Settings) -> None:
    workspace = home.artefacts_dir / "train_model" / ".work-old"
    (workspace / "checkpoints").mkdir(parents=True)
    checkpoint = workspace / "checkpoints" / "epoch"
    checkpoint.write_text("weights")
    age(workspace, 30)
    os.utime(checkpoint)

    assert plan_prune(store(home), home).removals == ()


@pytest.mark.parametrize("how", ["locks it", "has worked in it", "made it anew"])
def test_a_workspace_that_an_attempt_took_up_after_it_was_listed_stays(
    home: Settings, how: str
) -> None:
    folder = home.artefacts_dir / "train_model"
    taken, left = folder / ".work-taken", folder / ".work-left"
    for workspace in (taken, left):
        workspace.mkdir(parents=True)
        (workspace / ".lock").touch()
        age(workspace, 30)
    plan = plan_prune(store(home), home)
    assert {removal.path for removal in plan.removals} == {taken, left}
    with (taken / ".lock").open("a") as lock:
        if how == "locks it":
            flock(lock, LOCK_EX)
        elif how == "has worked in it":
            (taken / "checkpoint").touch()
        else:
            shutil.rmtree(taken)
            taken.mkdir()

        assert carry_out(plan, store(home)) == 1
    assert (taken.exists(), left.exists()) == (True, False)


def test_a_lock_tells_when_the_first_attempt_at_a_training_began(tmp_path: Path) -> None:
    with one_attempt_at_a_time(tmp_path):
        age(tmp_path / ".lock", 2)
    began = (tmp_path / ".lock").stat().st_mtime
    with one_attempt_at_a_time(tmp_path):
        assert (tmp_path / ".lock").stat().st_mtime == began
