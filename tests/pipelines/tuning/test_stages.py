"""A tuning by its stages: trials that run, are stopped, fail, are killed and are taken up again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from models.config import ModelConfig
from pipelines.cli_tuning import tune
from pipelines.errors import (
    ArtefactCorrupt,
    NoTrialKeepsConstraints,
    StudyInvalid,
    TrainingFailed,
)
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.choose_model import choose_model
from pipelines.stages.plan_trials import plan_trials
from pipelines.stages.run_trial import journal_folder, run_trial
from pipelines.study import load_study
from pipelines.trial_record import BROKEN, trials_fingerprint, tuning_trials
from pipelines.trials import trials_of
from pipelines.tuning import run
from pipelines.tuning.conclusion import read_chosen, read_trials
from pipelines.tuning.outcome import Outcome
from pipelines.tuning.run import tune_sequences
from pipelines.tuning.section import tuning_of
from pipelines.tuning.table import print_tuning
from pipelines.tuning.trials import TuningTrials
from tests.pipelines.tuning.conftest import STUDY, Written, home_of_a_study, write_sequences

GAP = "gap in auroc by sex"


@dataclass(frozen=True)
class Tuned:
    """A tuning that ended: a grid of three learning rates, the good one first."""

    write: Written
    sequences: str
    chosen: str
    told: list[str]

    @property
    def plan(self) -> str:
        return plan_trials(STUDY, self.sequences)

    @property
    def outcomes(self) -> list[Outcome]:
        return read_trials(store().open(self.chosen))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuned]:
    with home_of_a_study(tmp_path_factory.mktemp("tuned")) as write:
        write(
            sampler="grid",
            seed=5,  # draws the order .05, .02, .000001
            pruner="successive_halving",
            prune_from_epoch=1,
            parameters={"learning_rate": [0.05, 0.02, 1e-6]},
            constraints={
                "observed_expected": [0.01, 100.0],
                "group_gaps": [{"metric": "auroc", "attribute": "sex", "at_most": 1e-9}],
            },
        )
        sequences, told = write_sequences(), list[str]()
        chosen = tune_sequences(STUDY, sequences, [1, 2, 3], 2, told.append)
        yield Tuned(write, sequences, chosen, told)


def outcome(key: str) -> Outcome:
    return Outcome.read(store().open(key))


def test_every_trial_ends_once_and_the_best_measured_one_is_the_model_section(
    tuned: Tuned,
) -> None:
    outcomes = tuned.outcomes
    assert [one.number for one in outcomes] == [1, 2, 3]
    assert sorted(float(str(one.parameters["learning_rate"])) for one in outcomes) == [
        *(1e-6, 0.02, 0.05)
    ]
    measured = [one for one in outcomes if one.state == "complete"]
    best = max(measured, key=lambda one: one.value or 0.0)
    section, conclusion = read_chosen(store().open(tuned.chosen))
    assert section == ModelConfig.model_validate(best.config)
    assert section.learning_rate == best.parameters["learning_rate"]
    assert conclusion.best == best.number
    assert [line.split(":")[0] for line in tuned.told[:1]] == [tuned.plan]
    assert len(tuned.told) == 4


def test_the_ledger_has_each_trial_once_with_its_number_and_model(tuned: Tuned) -> None:
    ledger = trials_of(STUDY)
    recorded = sorted(ledger.tuning, key=lambda trial: trial.number)
    assert [trial.config for trial in recorded] == [one.config for one in tuned.outcomes]
    assert [trial.number for trial in recorded] == [1, 2, 3]
    assert (ledger.looked_at, ledger.trials) == (3, ())
    assert tuning_trials(load_study(STUDY)) == 3


def test_the_value_is_the_mean_of_the_folds_areas_on_rows_outside_the_holdout(
    tuned: Tuned,
) -> None:
    best = next(one for one in tuned.outcomes if one.state == "complete")
    examples = pl.read_parquet(store().open(tuned.sequences) / "examples.parquet")
    found = []
    for file in (settings().artefacts_dir / "cross_validate").glob("[!.]*/predictions.parquet"):
        table = pl.read_parquet(file).join(
            examples.with_row_index("row").cast({"row": pl.Int64}), on="row"
        )
        assert 2 not in set(table["split"])
        table = table.filter(pl.col("label").is_not_null())
        found.append(
            [
                roc_auc_score(part["label"], part["score"], sample_weight=part["weight"])
                for part in table.partition_by("fold", maintain_order=True)
            ]
        )
    assert any(best.by_fold == pytest.approx(areas) for areas in found)
    assert best.value == pytest.approx(sum(best.by_fold) / 2)


def test_a_constraint_that_no_trial_keeps_is_said_in_the_verdict_the_file_and_the_table(
    tuned: Tuned, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store().open(tuned.chosen)
    _, conclusion = read_chosen(path)
    assert (conclusion.verdict, conclusion.broken) == ("broken", (GAP,))
    assert "NO TRIAL KEEPS ALL CONSTRAINTS" in (path / "chosen_model.yaml").read_text()
    print_tuning(tuned.chosen, 10)
    printed = capsys.readouterr().out
    assert "BROKEN" in printed
    assert "3 trials" in printed
    assert str(path / "chosen_model.yaml") in printed


def test_the_command_ends_with_a_code_of_its_own_where_no_trial_keeps_the_constraints(
    tuned: Tuned, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "tune_study", lambda *given, **told: tuned.chosen)
    with pytest.raises(NoTrialKeepsConstraints, match=f"breaks {GAP}") as ended:
        tune(STUDY)
    assert ended.value.exit_code == 28
    assert "NO TRIAL KEEPS ALL CONSTRAINTS" in capsys.readouterr().out


def test_successive_halving_is_told_of_the_first_folds_epochs_only(tuned: Tuned) -> None:
    section, folder = tuning_of(load_study(STUDY)), journal_folder(tuned.plan)
    trials = TuningTrials(folder, tuned.plan, section, most_steps=3)
    complete = [one.number for one in tuned.outcomes if one.state == "complete"]
    assert complete
    assert [list(trials.reports(number)) for number in complete] == [[1, 2, 3]] * len(complete)


def test_the_same_tuning_of_another_study_is_counted_there_too(
    tuned: Tuned, tmp_path: Path
) -> None:
    """What it would train is there already: it is tried all the same."""
    studies = settings().studies_dir
    shutil.copyfile(studies / f"{STUDY}.yaml", studies / "another.yaml")
    assert plan_trials("another", tuned.sequences) != tuned.plan
    tune_sequences("another", tuned.sequences, [1, 2, 3], 1, lambda line: None)
    assert [trial.number for trial in trials_of("another").tuning] == [1, 2, 3]
    assert trials_of(STUDY).looked_at == 3


def test_a_trial_that_is_there_and_not_in_the_ledger_is_not_used(
    tuned: Tuned, tmp_path: Path
) -> None:
    keys = [run_trial(STUDY, tuned.plan, number) for number in (1, 2, 3)]
    assert choose_model(STUDY, tuned.plan, keys) == tuned.chosen
    ledger = settings().trials_dir / STUDY
    ledger.rename(tmp_path / "away")
    try:
        with pytest.raises(ArtefactCorrupt, match="1 trials are not in the ledger"):
            run_trial(STUDY, tuned.plan, 1)
        with pytest.raises(ArtefactCorrupt, match="3 trials are not in the ledger"):
            choose_model(STUDY, tuned.plan, keys)
        # Nor does an audit tell of no tuning where the journal of stages knows of one.
        assert tuning_trials(load_study(STUDY)) is None
        assert trials_fingerprint(load_study(STUDY)) == BROKEN
    finally:
        (tmp_path / "away").rename(ledger)
    assert tuning_trials(load_study(STUDY)) == 3


def test_a_tuning_whose_journal_was_deleted_repeats_no_trial(tuned: Tuned, tmp_path: Path) -> None:
    folder = journal_folder(tuned.plan)
    folder.rename(tmp_path / "away")
    try:
        with pytest.raises(ArtefactCorrupt, match="its journal lacks them"):
            run_trial(STUDY, tuned.plan, 4)
    finally:
        shutil.rmtree(folder)
        (tmp_path / "away").rename(folder)
    assert trials_of(STUDY).looked_at == 3


def test_a_finished_trial_is_not_run_again_and_more_trials_go_on_with_those_there_are(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def runs(*given: object) -> None:
        raise AssertionError("a finished trial was run again")

    monkeypatch.setattr("pipelines.stages.run_trial._run", runs)
    told = list[str]()
    assert tune_sequences(STUDY, tuned.sequences, [1, 2, 3], 1, told.append) == tuned.chosen
    assert trials_of(STUDY).looked_at == 3


def test_a_trial_whose_artefact_is_lost_is_told_again_without_a_second_count(
    tuned: Tuned,
) -> None:
    for before in tuned.outcomes:
        key = run_trial(STUDY, tuned.plan, before.number)
        shutil.rmtree(store().path(key))
        again = outcome(run_trial(STUDY, tuned.plan, before.number))
        assert again.model_copy(update={"epochs": before.epochs}) == before
    assert trials_of(STUDY).looked_at == 3


def test_another_machine_with_artefacts_of_its_own_goes_on_with_the_tuning(
    tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [run_trial(STUDY, tuned.plan, before.number) for before in tuned.outcomes]
    left = shutil.ignore_patterns(".*", *(Path(key).name for key in keys))
    shutil.copytree(settings().artefacts_dir, tmp_path / "artefacts", ignore=left)
    monkeypatch.setenv("EQUIPOISE_ARTEFACTS", str(tmp_path / "artefacts"))

    for before in tuned.outcomes:
        again = outcome(run_trial(STUDY, tuned.plan, before.number))
        assert again.model_copy(update={"epochs": before.epochs}) == before
    assert trials_of(STUDY).looked_at == 3


def test_a_study_without_a_tuning_or_changed_since_its_plan_is_refused(study: Written) -> None:
    name = study()
    sequences = write_sequences()
    plan = plan_trials(name, sequences)
    assert plan_trials(study(trials=9), sequences) == plan
    study(seed=7)
    with pytest.raises(StudyInvalid, match="changed since its tuning was planned"):
        run_trial(name, plan, 1)
    study(sections={"tuning": None})
    with pytest.raises(StudyInvalid, match="nothing of a tuning"):
        plan_trials(name, sequences)


def test_a_trial_that_cannot_be_trained_fails_is_counted_and_is_never_chosen(
    study: Written,
) -> None:
    name = study(sections={"cross_validation": {"kind": "grouped", "folds": 2}})
    plan = plan_trials(name, write_sequences(examples=16))
    key = run_trial(name, plan, 1)

    found = outcome(key)
    assert (found.state, found.value) == ("failed", None)
    assert "of the two classes" in str(found.reason)
    assert trials_of(name).looked_at == 1
    with pytest.raises(TrainingFailed, match="None of 1 trials could be measured"):
        choose_model(name, plan, [key])
    for file in (settings().trials_dir / STUDY).glob("*.json"):
        file.unlink()
    with pytest.raises(ArtefactCorrupt, match="1 trials are not in the ledger"):
        choose_model(name, plan, [key])


# ---- killed --------------------------------------------------------------------------------------

WORKER = """
import sys
from pipelines.stages.run_trial import run_trial
for number in (1, 2):
    run_trial(sys.argv[1], sys.argv[2], number)
"""


def values(outcomes: list[Outcome]) -> list[Any]:
    return [(one.number, one.parameters, one.state, one.by_fold) for one in outcomes]


@pytest.mark.slow
@pytest.mark.faults
def test_a_run_killed_in_mid_trial_goes_on_and_ends_as_if_nothing_had_happened(
    study: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"hidden_size": 4, "seeds": [0], "max_epochs": 30, "min_epochs": 30}
    name = study(sections={"model": model})
    plan = plan_trials(name, write_sequences())
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, name, plan], env=os.environ.copy(), start_new_session=True
    )
    second = store().workspace(plan) / "trial_00002"
    deadline = time.monotonic() + 240
    # Three whole epochs of the first network.
    while not list(second.glob("networks/checkpoints/window_*/00000[3-9].json")):
        assert worker.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    assert trials_of(name).looked_at == 2
    killed = [outcome(run_trial(name, plan, number)) for number in (1, 2)]
    ledger = trials_of(name)

    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "whole"))
    assert plan_trials(name, write_sequences()) == plan
    whole = [outcome(run_trial(name, plan, number)) for number in (1, 2)]
    assert values(killed) == values(whole)
    assert [trial.number for trial in ledger.tuning] == [1, 2]
    # Those epochs that the killed attempt had finished were not trained again.
    assert (killed[1].epochs or 0) < (whole[1].epochs or 0)
