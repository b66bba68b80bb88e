"""``python -m dags.run``: the very DAGs in one process, and the exit code of what went wrong."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.dags.installations import calls, environment, python, study_text, write_studies
from tests.dags.listeners import webhook_server

RECORD = "4711 weighs 93"
RUN = ("-m", "dags.run")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One installation for all: Airflow's empty metadata is made once."""
    home = tmp_path_factory.mktemp("run") / "home"
    write_studies(home.parent / "studies", demo=study_text(), broken="title: [")
    return home


@pytest.fixture(autouse=True)
def _no_calls_yet(home: Path) -> None:
    (home.parent / "calls").unlink(missing_ok=True)


def env(home: Path, **further: str) -> dict[str, str]:
    return environment(home, home.parent / "studies") | further


def called(home: Path) -> list[str]:
    return [line.split(" ")[0] for line in calls(home)]


def test_both_flows_run_in_order_and_pass_keys_on(home: Path) -> None:
    code, output, errors = python(*RUN, "demo", "--as-of", "2020-01-31", env=env(home))
    assert code == 0, output + errors
    key = "0123456789abcdef"
    made = {line.split(" ", 1)[0]: json.loads(line.split(" ", 1)[1]) for line in calls(home)}
    in_order = [
        *("ingest_events", "merge_events", "check_events", "build_sequences"),
        *("merge_sequences", "train_model", "predict_holdout"),
        *("audit_model", "request_approval", "release_model"),
        *("ingest_events", "merge_events", "check_events"),
        *("build_sequences", "merge_sequences", "score_subjects", "merge_scores"),
    ]
    assert called(home)[:-3] == in_order
    # Neither of the two waits for the other.
    assert set(called(home)[-3:-1]) == {"explain_predictions", "audit_predictions"}
    assert called(home)[-1] == "publish_predictions"
    assert made["audit_model"] == [
        f"{stage}/{key}"
        for stage in (
            *("merge_events", "check_events", "merge_sequences"),
            *("train_model", "predict_holdout"),
        )
    ]
    assert made["build_sequences"] == [f"merge_events/{key}", "0/1", "2020-01-31"]
    parts = [f"build_sequences/{key}"]
    assert made["merge_sequences"] == [f"merge_events/{key}", parts, "2020-01-31"]
    assert made["merge_scores"] == [f"merge_sequences/{key}", [f"score_subjects/{key}"]]
    stages = ("check_events", "merge_scores", "audit_predictions", "explain_predictions")
    assert made["publish_predictions"] == [f"{stage}/{key}" for stage in stages]
    assert "publish_predictions done" in output
    assert list((home / "airflow" / "runs").iterdir()) == []


def test_without_a_date_scoring_takes_the_day_of_the_run(home: Path) -> None:
    before = datetime.now(UTC).date().isoformat()
    code, output, errors = python(*RUN, "demo", "--flow", "score", env=env(home))
    assert code == 0, output + errors
    days = {before, datetime.now(UTC).date().isoformat()}
    line = next(line for line in calls(home) if line.startswith("build_sequences"))
    assert json.loads(line.split(" ", 1)[1])[2] in days
    assert "train_model" not in called(home)


def test_a_failed_explanation_publishes_the_scores_without_reasons_and_a_person_is_told(
    home: Path,
) -> None:
    with webhook_server() as server:
        url = f"http://127.0.0.1:{server.port}/"
        variables = {
            "TOY_FAILURE": "explain_predictions ArtefactCorrupt",
            "EQUIPOISE_ALERT_WEBHOOK": url,
        }
        code, output, errors = python(*RUN, "demo", "--flow", "score", env=env(home, **variables))
    assert code == 0, output + errors
    line = next(line for line in calls(home) if line.startswith("publish_predictions"))
    key = "0123456789abcdef"
    stages = ("check_events", "merge_scores", "audit_predictions")
    assert json.loads(line.split(" ", 1)[1]) == [*(f"{stage}/{key}" for stage in stages), None]
    assert [body["task"] for body in server.bodies] == ["explain_predictions"]


@pytest.mark.parametrize(
    "stage",
    [
        "merge_scores",
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in ("score_subjects", "audit_predictions")
        ),
    ],
)
def test_reasons_alone_publish_nothing_and_the_failure_is_told(home: Path, stage: str) -> None:
    variables = {"TOY_FAILURE": f"{stage} ArtefactCorrupt"}
    code, output, errors = python(*RUN, "demo", "--flow", "score", env=env(home, **variables))
    assert code != 0
    assert "publish_predictions" not in called(home), output
    assert errors.startswith(f"{stage} failed: cause")


def test_a_closed_gate_ends_the_run_with_its_own_code_once_and_a_person_is_told(
    home: Path,
) -> None:
    with webhook_server() as server:
        url = f"http://127.0.0.1:{server.port}/"
        variables = {"TOY_FAILURE": "release_model GateClosed", "EQUIPOISE_ALERT_WEBHOOK": url}
        code, _, errors = python(*RUN, "demo", env=env(home, **variables))
    assert code == 22
    assert errors.splitlines() == [
        "release_model failed: cause",
        "  where:  place",
        "  remedy: remedy",
    ]
    assert called(home).count("release_model") == 1
    assert "score_subjects" not in called(home)
    assert [(body["task"], body["error"], body["exit_code"]) for body in server.bodies] == [
        ("release_model", "GateClosed", 22)
    ]


def test_a_release_that_awaits_approval_is_no_failure_scores_nothing_and_has_its_own_code(
    home: Path,
) -> None:
    with webhook_server() as server:
        url = f"http://127.0.0.1:{server.port}/"
        variables = {
            "TOY_FAILURE": "release_model AwaitingApproval",
            "EQUIPOISE_ALERT_WEBHOOK": url,
        }
        code, output, errors = python(*RUN, "demo", env=env(home, **variables))
    assert code == 25
    assert "The audit of demo awaits approval." in errors
    assert "release_model skipped" in output
    assert "score_subjects" not in called(home)
    assert server.bodies == []


def test_an_unexpected_error_is_tried_three_times_and_its_words_are_written_nowhere(
    home: Path,
) -> None:
    variables = env(home, TOY_FAILURE="train_model ValueError")
    code, output, errors = python(*RUN, "demo", "--flow", "train", env=variables)
    assert code == 41
    assert called(home).count("train_model") == 3
    assert "unexpected ValueError" in errors
    kept = [file.read_bytes() for file in home.rglob("*") if file.is_file()]
    assert len(kept) > 2
    assert not any(RECORD.encode() in text for text in kept)
    assert RECORD not in output + errors


def test_a_study_that_cannot_be_read_ends_with_its_own_code_before_airflow_starts(
    home: Path,
) -> None:
    code, output, errors = python(*RUN, "broken", env=env(home))
    assert (code, output) == (10, "")
    assert "not readable as YAML" in errors
    assert "Traceback" not in errors
