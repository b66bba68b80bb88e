"""What checking a contract tells: names and counts, no value of a record, and nobody elsewhere."""

import logging
import socket
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.validation.contract_examples import CONTRACT, failures, good_tables, with_cell
from validation.expectations import ExpectationOutcome, check_tables, contract_checks


def test_a_planted_value_appears_in_no_outcome_log_line_or_stream(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "Hyacinth-31337"  # noqa: S105 - a planted cell, not a password
    caplog.set_level(logging.DEBUG)
    tables = good_tables()
    events = tables["events"].cast({"code": pl.String, "source_file": pl.String})
    events = with_cell(events, 0, code=secret, text_value=secret, source_file=secret)
    events = with_cell(events, 2, numeric_value=31337.0, subject_id=31337)
    tables["events"] = pl.concat([events, events.tail(1)])
    tables["subjects"] = with_cell(tables["subjects"], 0, sex=secret)
    tables["quarantine"] = tables["quarantine"].with_columns(rows_in=pl.lit(secret))
    outcomes = check_tables(dict(tables), CONTRACT)
    assert sum(not o.success for o in outcomes) >= 6
    streams = capfd.readouterr()
    told = f"{outcomes} {contract_checks(outcomes)} {caplog.text} {streams.out} {streams.err}"
    assert "Hyacinth" not in told
    assert "31337" not in told


def test_checking_opens_no_connection_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert failures(good_tables()) == []
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_importing_the_library_says_nothing_and_turns_telemetry_off_first() -> None:
    program = (
        "import logging, os, sys\n"
        "logging.basicConfig(level=logging.DEBUG)\n"
        "import validation.judging\n"
        "assert os.environ['GX_ANALYTICS_ENABLED'] == 'false'\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    said = [line for line in done.stderr.splitlines() if "great_expectations" in line]
    assert said == []
    source = Path("validation/judging.py").read_text()
    assert source.index("GX_ANALYTICS_ENABLED") < source.index("import great_expectations")


def test_an_outcome_holds_names_and_counts_only() -> None:
    fields = set(ExpectationOutcome.__dataclass_fields__)
    assert fields == {
        "table",
        "expectation",
        "column",
        "scope",
        "declared",
        "success",
        "element_count",
        "unexpected_count",
    }
