"""No exception of a stage carries a value of a record."""

import json
import logging
import traceback
from pathlib import Path

import polars as pl
import pytest

from dags.silence import without_values
from pipelines.errors import EquipoiseError, GateClosed, RunFailed
from tests.dags.installations import environment, python, study_text, write_studies
from tests.dags.silenced import RECORD as RECORD_OF_A_STAGE

RECORD = "patient 4711 weighs 93 kg"


@without_values
def stage(problem: str) -> str:
    if problem == "none":
        return "stage/0123456789abcdef"
    if problem == "gate":
        raise GateClosed("nothing is released", where="report.html", remedy="read it")
    try:
        raise ValueError(RECORD)
    except ValueError as error:
        if problem == "gate from another error":
            raise GateClosed("nothing is released", where="report.html", remedy="x") from error
        if problem == "gate while handling":
            raise GateClosed("nothing is released", where="report.html", remedy="x")  # noqa: B904 - the careless case is what is tested
        raise


def failure(problem: str) -> EquipoiseError:
    with pytest.raises(EquipoiseError) as caught:
        stage(problem)
    return caught.value


def test_a_stage_that_succeeds_returns_what_it_returned() -> None:
    assert stage("none") == "stage/0123456789abcdef"


def test_our_own_error_goes_on_as_it_is() -> None:
    error = failure("gate")
    assert isinstance(error, GateClosed)
    assert error.cause == "nothing is released"


@pytest.mark.parametrize("problem", ["other", "gate from another error", "gate while handling"])
def test_the_words_of_another_library_are_nowhere_in_what_airflow_would_print(problem: str) -> None:
    error = failure(problem)
    printed = "".join(traceback.format_exception(error))
    assert RECORD not in printed
    assert type(error).__name__ in printed


def test_an_unexpected_error_is_told_by_its_class_and_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        error = failure("other")
    assert isinstance(error, RunFailed)
    assert "ValueError" in error.cause
    assert error.where.startswith("test_silence.py:")
    assert RECORD not in caplog.text
    assert "in stage" in caplog.text


def test_a_stop_from_outside_is_not_held_up() -> None:
    @without_values
    def interrupted() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_a_library_in_rust_that_breaks_down_is_told_by_its_class_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @without_values
    def panicking() -> str:
        raise pl.exceptions.PanicException(RECORD)

    with caplog.at_level(logging.ERROR), pytest.raises(RunFailed) as caught:
        panicking()
    printed = "".join(traceback.format_exception(caught.value))
    assert "PanicException" in printed
    assert RECORD not in printed + caplog.text


def test_a_stop_from_outside_does_not_carry_what_was_being_handled() -> None:
    @without_values
    def stopped() -> str:
        try:
            raise ValueError(RECORD)
        except ValueError:
            raise KeyboardInterrupt  # noqa: B904 - the stop comes from outside

    with pytest.raises(KeyboardInterrupt) as caught:
        stopped()
    assert RECORD not in "".join(traceback.format_exception(caught.value))


def test_no_task_of_a_flow_quotes_a_record_be_it_mapped_over_shards_or_not(tmp_path: Path) -> None:
    studies = write_studies(tmp_path / "studies", one=study_text(schedule=None))
    env = environment(tmp_path / "home", studies, toy=False) | {"EQUIPOISE_SHARDS": "2"}
    code, output, errors = python("-m", "tests.dags.silenced", env=env)
    assert code == 0, errors
    said = json.loads(output.splitlines()[-1])
    failed = {name: told for name, told in said.items() if told["error"] is not None}

    assert {told["error"] for told in failed.values()} == {"RunFailed"}
    assert all("unexpected ValueError" in told["printed"] for told in failed.values())
    # The one that fails at nothing hands on what it is given.
    assert {name.split(".")[1] for name in said.keys() - failed.keys()} <= {"take_reasons"}
    assert {name.split(".")[1] for name, told in said.items() if told["mapped"]} >= {
        "ingest_events"
    }
    assert RECORD_OF_A_STAGE not in output + errors
