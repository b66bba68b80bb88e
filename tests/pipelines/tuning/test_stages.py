"""A tuning by its stages: trials that run, are stopped, fail, are killed and are taken up again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from models.config import ModelConfig
from pipelines.errors import ArtefactCorrupt, StudyInvalid, TrainingFailed
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.choose_model import choose_model
from pipelines.stages.plan_trials import plan_trials
from pipelines.stages.run_trial import run_trial
from pipelines.trials import trials_of
from pipelines.tuning.conclusion import read_chosen, read_trials
from pipelines.tuning.outcome import Outcome
from tests.pipelines.tuning.conftest import STUDY, write_sequences

Written = Callable[..., str]


def outcome(key: str) -> Outcome:
    return Outcome.read(store().open(key))


def test_a_tuning_runs_counts_every_trial_and_names_a_model_that_it_measured(
    study: Written,
) -> None:
    name = study()
    plan = plan_trials(name, write_sequences())
    keys = [run_trial(name, plan, number) for number in (1, 2, 3)]
    chosen = store().open(choose_model(name, plan, keys))

    outcomes = [outcome(key) for key in keys]
    assert [one.state for one in outcomes] == ["complete"] * 3
    best = max(outcomes, key=lambda one: one.value or 0.0)
    section, conclusion = read_chosen(chosen)
    assert section == ModelConfig.model_validate(best.config)
    assert section.learning_rate == best.parameters["learning_rate"]
    assert (conclusion.best, conclusion.trials, conclusion.verdict) == (best.number, 3, "kept")
    assert read_trials(chosen) == outcomes
    ledger = trials_of(name)
    assert [trial.number for trial in ledger.tuning] == [1, 2, 3]
    assert [trial.config for trial in ledger.tuning] == [one.config for one in outcomes]
    assert (ledger.looked_at, ledger.trials) == (3, ())


def test_the_value_is_the_mean_of_the_folds_areas_on_rows_outside_the_holdout(
    study: Written,
) -> None:
    from sklearn.metrics import roc_auc_score

    name = study()
    sequences = write_sequences()
    found = outcome(run_trial(name, plan_trials(name, sequences), 1))

    [answers] = (settings().artefacts_dir / "cross_validate").glob("[!.]*/predictions.parquet")
    examples = pl.read_parquet(store().open(sequences) / "examples.parquet").with_row_index("row")
    table = pl.read_parquet(answers).with_columns(pl.col("row").cast(pl.UInt32))
    table = table.join(examples, on="row").filter(pl.col("label").is_not_null())
    areas = [
        roc_auc_score(part["label"], part["score"], sample_weight=part["weight"])
        for part in table.partition_by("fold", maintain_order=True)
    ]
    assert found.by_fold == pytest.approx(areas)
    assert found.value == pytest.approx(sum(areas) / 2)
    assert 2 not in set(table["split"])


def test_a_finished_trial_is_not_run_again_and_is_counted_once(study: Written) -> None:
    name = study()
    sequences = write_sequences()
    plan = plan_trials(name, sequences)
    first = run_trial(name, plan, 1)
    began = time.monotonic()

    assert run_trial(name, plan, 1) == first
    assert plan_trials(study(trials=9), sequences) == plan  # more trials go on with those there are
    assert time.monotonic() - began < 2
    assert trials_of(name).looked_at == 1


def test_a_trial_whose_artefact_is_lost_is_told_again_without_a_second_count(
    study: Written,
) -> None:
    import shutil

    name = study()
    plan = plan_trials(name, write_sequences())
    key = run_trial(name, plan, 1)
    before = outcome(key)
    shutil.rmtree(store().path(key))

    again = outcome(run_trial(name, plan, 1))
    assert again.model_copy(update={"epochs": before.epochs}) == before
    assert trials_of(name).looked_at == 1


def test_a_trial_that_falls_behind_is_stopped_and_counted(study: Written) -> None:
    name = study(
        pruner="successive_halving",
        prune_from_epoch=1,
        parameters={"learning_rate": [0.05, 0.05, 1e-6][1:]},
        sampler="grid",
    )
    plan = plan_trials(name, write_sequences())
    outcomes = [outcome(run_trial(name, plan, number)) for number in (1, 2)]

    by_rate = {one.parameters["learning_rate"]: one for one in outcomes}
    states = {one.state for one in outcomes}
    assert by_rate[0.05].state == "complete" or states == {"complete", "pruned"}
    assert trials_of(name).looked_at == 2


def test_values_that_make_no_model_are_a_failed_trial_and_leave_the_others_whole(
    study: Written,
) -> None:
    name = study(
        sampler="grid",
        parameters={"truncate_steps": [None], "l2_penalty": [0.0, 1e30]},
    )
    plan = plan_trials(name, write_sequences())
    keys = [run_trial(name, plan, number) for number in (1, 2)]

    by_penalty = {one.parameters["l2_penalty"]: one for one in map(outcome, keys)}
    assert by_penalty[0.0].state == "complete"
    assert trials_of(name).looked_at == 2
    _, conclusion = read_chosen(store().open(choose_model(name, plan, keys)))
    assert conclusion.best == by_penalty[0.0].number


def test_a_constraint_decides_before_the_metric_and_the_verdict_says_when_none_keeps_it(
    study: Written,
) -> None:
    name = study(
        constraints={"group_gaps": [{"metric": "auroc", "attribute": "sex", "at_most": 1e-9}]}
    )
    plan = plan_trials(name, write_sequences())
    keys = [run_trial(name, plan, number) for number in (1, 2)]
    path = store().open(choose_model(name, plan, keys))

    _, conclusion = read_chosen(path)
    assert conclusion.verdict == "broken"
    assert conclusion.broken == ("gap in auroc by sex",)
    assert "NO TRIAL KEEPS ALL CONSTRAINTS" in (path / "chosen_model.yaml").read_text()


def test_a_study_without_a_tuning_or_changed_since_its_plan_is_refused(study: Written) -> None:
    name = study()
    sequences = write_sequences()
    plan = plan_trials(name, sequences)
    study(seed=7)
    with pytest.raises(StudyInvalid, match="changed since its tuning was planned"):
        run_trial(name, plan, 1)
    study(sections={"tuning": None})
    with pytest.raises(StudyInvalid, match="nothing of a tuning"):
        plan_trials(name, sequences)


def test_a_choice_among_trials_that_the_ledger_lacks_is_refused(study: Written) -> None:
    name = study()
    plan = plan_trials(name, write_sequences())
    key = run_trial(name, plan, 1)
    for file in (settings().trials_dir / STUDY).glob("*.json"):
        file.unlink()
    with pytest.raises(ArtefactCorrupt, match="1 trials are not in the ledger"):
        choose_model(name, plan, [key])


# ---- killed --------------------------------------------------------------------------------------

WORKER = (
    "import sys\n"
    "from pipelines.stages.run_trial import run_trial\n"
    "for number in range(1, 4):\n"
    "    run_trial(sys.argv[1], sys.argv[2], number)\n"
)


def values(outcomes: list[Outcome]) -> list[Any]:
    return [(one.number, one.parameters, one.state, one.by_fold) for one in outcomes]


@pytest.mark.faults
def test_a_run_killed_in_mid_trial_goes_on_and_ends_as_if_nothing_had_happened(
    study: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = study(
        sections={"model": {"hidden_size": 4, "seeds": [0], "max_epochs": 60, "min_epochs": 60}}
    )
    plan = plan_trials(name, write_sequences())
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, name, plan], env=os.environ.copy(), start_new_session=True
    )
    second = store().workspace(plan) / "trial_00002"
    deadline = time.monotonic() + 240
    while not list(second.glob("networks/checkpoints/*/*.json")):
        assert worker.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    assert trials_of(name).looked_at == 2
    killed = [outcome(run_trial(name, plan, number)) for number in (1, 2, 3)]
    ledger = trials_of(name)

    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "whole"))
    assert plan_trials(name, write_sequences()) == plan
    whole = [outcome(run_trial(name, plan, number)) for number in (1, 2, 3)]
    assert values(killed) == values(whole)
    assert [trial.number for trial in ledger.tuning] == [1, 2, 3]
    # Those epochs that the killed attempt had finished were not trained again.
    assert (killed[1].epochs or 0) < (whole[1].epochs or 0)


def test_nothing_is_chosen_where_no_trial_could_be_measured(
    study: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = study(sections={"cross_validation": {"kind": "grouped", "folds": 2}})
    plan = plan_trials(name, write_sequences(examples=12))
    key = run_trial(name, plan, 1)

    assert outcome(key).state == "failed"
    assert "holds" in str(outcome(key).reason) or "fold" in str(outcome(key).reason)
    with pytest.raises(TrainingFailed, match="None of 1 trials could be measured"):
        choose_model(name, plan, [key])
