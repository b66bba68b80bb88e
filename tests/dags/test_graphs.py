"""The graphs: what follows what, what each task carries, what starts which flow."""

from itertools import pairwise
from typing import Any

import pytest

TRAIN = [
    "ingest_events",
    "merge_events",
    "check_events",
    "build_sequences",
    "merge_sequences",
    "train_model",
    "predict_holdout",
    "audit_model",
    "request_approval",
    "release_model",
]
SCORE = [
    "ingest_events",
    "merge_events",
    "check_events",
    "build_sequences",
    "merge_sequences",
    "score_subjects",
    "merge_scores",
    "audit_predictions",
    "publish_predictions",
]
# What no audit waits for.
BESIDE = ("explain_predictions", "take_reasons")


def test_only_the_taking_of_reasons_waits_for_the_explanation(described: dict[str, Any]) -> None:
    tasks = described["dags"]["score__both"]["tasks"]
    waiting = {name for name, task in tasks.items() if "explain_predictions" in task["upstream"]}
    assert waiting == {"take_reasons"}
    assert tasks["take_reasons"]["upstream"] == ["explain_predictions", "merge_scores"]
    assert "take_reasons" in tasks["publish_predictions"]["upstream"]


def test_people_are_asked_their_answer_is_read_and_only_then_something_is_released(
    described: dict[str, Any],
) -> None:
    tasks = described["dags"]["approve__both"]["tasks"]
    upstream = {name: task["upstream"] for name, task in tasks.items()}
    assert upstream == {
        "ask_people": [],
        "record_answer": ["ask_people"],
        "release_model": ["record_answer"],
        "ask_again": ["record_answer"],
    }


def test_a_release_runs_where_nobody_had_to_be_asked_and_never_after_a_failure(
    described: dict[str, Any],
) -> None:
    rules = {
        (dag_id.split("__")[0], name): task["trigger_rule"]
        for dag_id, dag in described["dags"].items()
        for name, task in dag["tasks"].items()
    }
    assert rules.pop(("train", "release_model")) == "none_failed"
    assert rules.pop(("score", "take_reasons")) == "all_done_min_one_success"
    assert set(rules.values()) == {"all_success"}


@pytest.mark.parametrize(("flow", "stages"), [("train", TRAIN), ("score", SCORE)])
def test_the_stages_of_a_flow_stand_in_its_order(
    described: dict[str, Any], flow: str, stages: list[str]
) -> None:
    tasks = described["dags"][f"{flow}__both"]["tasks"]
    assert [name for name in tasks if name not in BESIDE] == stages
    # Each waits for the one before it: a check holds up what follows though it gives it nothing.
    for before, after in pairwise(stages):
        assert before in tasks[after]["upstream"]


def test_a_study_that_leaves_the_model_open_races_before_it_trains(
    described: dict[str, Any],
) -> None:
    tasks = described["dags"]["train__raced"]["tasks"]
    place = TRAIN.index("train_model")
    assert list(tasks) == [*TRAIN[:place], "race_models", *TRAIN[place:]]
    assert "race_models" in tasks["train_model"]["upstream"]
    assert (tasks["race_models"]["queue"], tasks["race_models"]["pool"]) == ("gpu", "gpu")


def test_every_task_has_retries_a_timeout_words_an_owner_and_somebody_to_tell(
    described: dict[str, Any],
) -> None:
    for dag in described["dags"].values():
        assert dag["on_failure"] == "tell_of_run"
        for name, task in dag["tasks"].items():
            assert task["retries"] == 2, name
            assert task["retry_delay_s"] == 300, name
            assert 0 < task["timeout_s"] <= 24 * 3600, name
            assert task["doc"].strip(), name
            assert task["on_failure"] == ["tell_of_task"], name
    tasks = described["dags"]["train__both"]["tasks"]
    assert {task["owner"] for task in tasks.values()} == {"Equipoise demonstration"}


def test_only_training_waits_for_a_gpu(described: dict[str, Any]) -> None:
    places = {
        (flow, name): (task["queue"], task["pool"])
        for flow in ("train", "score")
        for name, task in described["dags"][f"{flow}__both"]["tasks"].items()
    }
    assert places.pop(("train", "train_model")) == ("gpu", "gpu")
    assert set(places.values()) == {("default", "default_pool")}


def test_a_release_and_the_clock_start_scoring_and_nothing_else_hands_out_assets(
    described: dict[str, Any],
) -> None:
    dags = described["dags"]
    assert dags["score__both"]["schedule"] == {"cron": "30 5 * * *", "assets": ["release__both"]}
    assert dags["score__neither"]["schedule"] == {"cron": None, "assets": ["release__neither"]}
    assert dags["train__both"]["schedule"] == {"cron": "0 3 * * 0", "assets": []}
    assert dags["train__neither"]["schedule"] == {"cron": None, "assets": []}
    outlets = {
        (flow, name): task["outlets"]
        for flow in ("train", "approve", "score")
        for name, task in dags[f"{flow}__both"]["tasks"].items()
        if task["outlets"]
    }
    assert dags["approve__both"]["schedule"] == {"cron": None, "assets": ["request__both"]}
    assert outlets == {
        ("train", "request_approval"): ["request__both"],
        ("train", "release_model"): ["release__both"],
        ("approve", "release_model"): ["release__both"],
        ("approve", "ask_again"): ["request__both"],
        ("score", "publish_predictions"): ["publication__both"],
    }


def test_a_flow_runs_once_at_a_time_but_for_questions_makes_up_for_nothing_and_is_active_at_once(
    described: dict[str, Any],
) -> None:
    for name, dag in described["dags"].items():
        # A newer request must not wait until somebody has answered an older one.
        runs_at_once = 8 if name.startswith("approve") else 1
        assert (dag["max_active_runs"], dag["catchup"], dag["paused"]) == (
            runs_at_once,
            False,
            False,
        )


def test_the_trigger_form_of_scoring_asks_for_a_date_or_nothing(
    described: dict[str, Any],
) -> None:
    schema = described["dags"]["score__both"]["params"]["as_of"]
    assert (schema["type"], schema["format"]) == (["null", "string"], "date")
    assert described["dags"]["train__both"]["params"] == {}


def test_what_only_a_person_can_change_is_not_tried_again(described: dict[str, Any]) -> None:
    assert described["retries"] == {
        "StudyInvalid": "fail",
        "SourceMissing": "fail",
        "SourceInvalid": "fail",
        "ContractBroken": "fail",
        "LeakageFound": "fail",
        "GateClosed": "fail",
        "PublicationGateClosed": "fail",
        "NoRelease": "fail",
        "AwaitingApproval": "fail",
        "ApprovalRefused": "fail",
        "SubjectUnknown": "fail",
        "NoTrialKeepsConstraints": "fail",
        "ReleaseChanged": "fail",  # by another try of a merge alone nothing is scored anew
        "ArtefactCorrupt": "fail",
        "SecretMissing": "fail",
        "PdfMissing": "fail",
        "BackupInvalid": "fail",
        "InstallationUnfit": "fail",
        "CompressionImpossible": "fail",
        "ArtefactStoreUnavailable": "retry",
        "DatabaseUnavailable": "retry",
        "StoreLocked": "retry",
        "TrainingFailed": "retry",
        "TrainingInterrupted": "retry",
        "RunFailed": "default",
        "MemoryError": "default",
    }
