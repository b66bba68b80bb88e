"""The DAG of a tuning in real Airflow: one task a trial, for studies that have one."""

import json
from pathlib import Path

import pytest
import yaml

from tests.dags.installations import (
    calls,
    environment,
    python,
    quick_study,
    study_text,
    write_studies,
)

TUNING = {"trials": 3, "sampler": "random", "parameters": {"hidden_size": [4, 8, 16]}}
RUN = ("-m", "dags.run", "searched", "--flow", "tune")
DESCRIBE = """
import json, dags.tuning
print(json.dumps({
    name: {
        task.task_id: [task.queue, task.pool, task.retries, task.is_mapped, bool(task.doc_md)]
        for task in dag.topological_sort()
    }
    for name, dag in dags.tuning.DAGS.items()
}))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("tuning") / "home"
    write_studies(
        home.parent / "studies",
        searched=study_text(tuning=TUNING),
        plain=study_text(tuning=None),
        broken="title: [",
    )
    return home


def test_only_a_study_that_says_what_to_search_has_the_dag_and_its_trials_wait_for_a_gpu(
    home: Path,
) -> None:
    code, output, errors = python("-c", DESCRIBE, env=environment(home, home.parent / "studies"))
    assert code == 0, errors
    found = json.loads(output.splitlines()[-1])
    assert set(found) == {"searched"}
    assert list(found["searched"].items()) == [
        ("ingest_events", ["default", "default_pool", 2, True, True]),
        ("merge_events", ["default", "default_pool", 2, False, True]),
        ("check_events", ["default", "default_pool", 2, False, True]),
        ("build_sequences", ["default", "default_pool", 2, True, True]),
        ("merge_sequences", ["default", "default_pool", 2, False, True]),
        ("plan_trials", ["default", "default_pool", 2, False, True]),
        ("run_trial", ["gpu", "gpu", 2, True, True]),
        ("choose_model", ["default", "default_pool", 2, False, True]),
    ]


def test_each_trial_is_a_task_and_the_choice_gets_the_keys_of_all_in_their_order(
    home: Path,
) -> None:
    code, output, errors = python(*RUN, env=environment(home, home.parent / "studies"))
    assert code == 0, output + errors
    made = [line.split(" ", 1) for line in calls(home)]
    made[6:-1] = sorted(made[6:-1])  # mapped tasks have no order among themselves
    plan, trial = "plan_trials/0123456789abcdef", "run_trial/0123456789abcdef"
    assert [(name, json.loads(given)) for name, given in made[5:]] == [
        ("plan_trials", ["merge_sequences/0123456789abcdef"]),
        *(("run_trial", [plan, number]) for number in (1, 2, 3)),
        ("choose_model", [plan, [trial] * 3]),
    ]


def test_a_study_without_a_tuning_is_told_so(home: Path) -> None:
    command = ("-m", "dags.run", "plain", "--flow", "tune")
    code, _, errors = python(*command, env=environment(home, home.parent / "studies"))
    assert code == 10
    assert "says nothing of a tuning" in errors


@pytest.mark.slow
def test_the_dag_tunes_a_study_of_real_records(tmp_path: Path) -> None:
    study = yaml.safe_load(quick_study()) | {
        "tuning": TUNING | {"trials": 2},
        "cross_validation": {"kind": "stratified_grouped", "folds": 2},
    }
    study["model"] |= {"max_epochs": 2, "min_epochs": 1}
    write_studies(tmp_path / "studies", searched=yaml.safe_dump(study))
    env = environment(tmp_path / "home", tmp_path / "studies", toy=False)
    code, output, errors = python(*RUN, env=env, timeout_s=900)
    assert code == 0, output + errors
    [chosen] = (tmp_path / "home" / "artefacts" / "choose_model").glob("*/chosen_model.yaml")
    assert yaml.safe_load(chosen.read_text())["model"]["hidden_size"] in (4, 8, 16)
    assert len(list((tmp_path / "home" / "trials" / "searched").glob("0*.json"))) == 2
