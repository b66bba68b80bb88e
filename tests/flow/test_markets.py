"""Markets on the same spine: a made-up market, from bars to rows, refusals and backfill."""

import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.cli_explanations import why
from pipelines.errors import ArtefactCorrupt, ContractBroken, GateClosed, SubjectUnknown
from pipelines.market.sessions import calendar
from pipelines.publication.store import open_store
from pipelines.reason_table import REASONS
from pipelines.reasons import subject_of, write_page
from pipelines.releases import list_releases
from pipelines.settings import settings
from pipelines.stage import open_inputs, store
from pipelines.stages.audit_model import audit_model
from pipelines.stages.audit_predictions import audit_predictions
from pipelines.stages.check_events import check_events
from pipelines.stages.explain_predictions import (
    _explained,
    _table,
    _write,
    explain_predictions,
)
from pipelines.stages.ingest_events import ingest_events
from pipelines.stages.predict_holdout import predict_holdout
from pipelines.stages.publish_predictions import publish_predictions
from pipelines.stages.release_model import release_model
from pipelines.stages.train_model import train_model
from pipelines.trials import trials_of
from pipelines.whole_stages import whole_scores, whole_sequences
from tests.flow.synthetic_market import FIRST, LAST, NAMES, write_market, write_study
from tests.validation.test_faithfulness import FAITHFUL
from validation import faithfulness
from validation.evidence import Evidence, load_evidence
from validation.faithfulness import judge_faithfulness
from validation.report import why as report
from validation.tasks import DELISTED, LISTING_STATUS, MOST_TOLERATED, Task, losses_of


def beside(task: Task) -> list[dict[str, Any]]:
    """A line on every loss, with the widest limit that a study may set."""
    return [
        {
            "line": f"Beside others in {loss}",
            "metric": loss,
            "on": "walk_forward",
            "group": "overall",
            "against": "best_challenger",
            "at_most": MOST_TOLERATED[task, loss],
        }
        for loss in losses_of(task)
    ]


OPEN = {
    "volatility": {"task": "volatility", "reference": "har", "gating": beside("volatility")},
    "prices": {"task": "quantiles", "reference": "random_walk", "gating": beside("quantiles")},
}
CLOSED = {
    "task": "direction",
    "threshold": 0.5,
    "reference": "prevalence",
    "gating": [
        {
            "line": "Skill",
            "metric": "skill_brier",
            "on": "walk_forward",
            "group": "overall",
            "at_least": 0.0,
        },
        *beside("direction"),
    ],
}
COMES_AND_GOES = ("published_at", "generation_id")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An installation whose studies lie beside their bars."""
    folder = tmp_path_factory.mktemp("markets")
    studies = folder / "studies"
    studies.mkdir()
    write_market(studies)
    write_study(studies, "volatility", "realised_volatility", OPEN["volatility"])
    write_study(studies, "prices", "return_quantiles", OPEN["prices"])
    selection = {"max_selection_rate_change": 1.0}
    closed: dict[str, Any] = CLOSED | {"predictions": _limits() | selection}
    write_study(studies, "direction", "direction", closed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(folder / "home"))
        patch.setenv("EQUIPOISE_STUDIES", str(studies))
        yield studies


def _limits() -> dict[str, Any]:
    return {
        "minimum_rows": 5,
        "max_unknown_code_share": 0.0,
        "max_missing_share": 0.5,
        "max_outside_share": 0.5,
    }


def audit(study: str) -> str:
    """All stages up to the audit; its key."""
    events = ingest_events(study)
    checks = check_events(study, events)
    sequences = whole_sequences(study, events)
    model = train_model(study, sequences)
    predictions = predict_holdout(study, sequences, model)
    return audit_model(study, events, checks, sequences, model, predictions)


def evidence_of(audited: str) -> Evidence:
    return load_evidence(store().open(audited) / "evidence.json")


def publish(study: str, as_of: str) -> str:
    events = ingest_events(study)
    checks = check_events(study, events)
    sequences = whole_sequences(study, events, as_of)
    scores = whole_scores(study, sequences)
    return publish_predictions(study, checks, scores, audit_predictions(study, sequences, scores))


@pytest.fixture(scope="module")
def volatility(market: Path) -> str:
    audited = audit("volatility")
    release_model("volatility", audited)
    return audited


@pytest.fixture(scope="module")
def prices(market: Path) -> str:
    audited = audit("prices")
    release_model("prices", audited)
    return audited


def test_every_row_of_the_bars_is_accounted_for(volatility: str) -> None:
    files = evidence_of(volatility).data.files

    assert all(file.adds_up for file in files)
    bars = [file for file in files if "bars.csv" in file.file]
    rows = {file.rows_in for file in bars}
    assert len(bars) == 5
    assert len(rows) == 1


def test_the_audit_says_what_it_owes_of_a_market(volatility: str) -> None:
    evidence = evidence_of(volatility)

    assert evidence.is_point_in_time is True
    assert evidence.overfitting is not None
    assert evidence.overfitting.trials == 1
    assert {population.population for population in evidence.populations} == {
        "holdout",
        "walk_forward",
    }
    assert {"truncation_replay", "scalers_refitted", "no_label_reaches_the_next_part"} <= {
        check.name for check in evidence.data.checks if check.passed
    }
    assert {harm.harm for harm in evidence.harms} >= {"unequal_error", "regime", "survivorship"}


def test_the_name_that_died_is_seen_by_the_audit(volatility: str) -> None:
    evidence = evidence_of(volatility)
    walked = evidence.population("walk_forward")
    assert walked is not None
    levels = {group.level for group in walked.groups if group.attribute == LISTING_STATUS}

    assert DELISTED in levels
    found = [harm for harm in evidence.harms if harm.harm == "survivorship"]
    assert any(harm.alarm is not None for harm in found)


def test_the_trial_is_in_the_ledger_once_however_often_it_is_looked_at(volatility: str) -> None:
    assert audit("volatility") == volatility
    assert len(trials_of("volatility").trials) == 1


def test_the_published_rows_are_of_the_names_that_still_trade(volatility: str) -> None:
    publish("volatility", "2018-12-31")
    rows = open_store(settings()).read_current("volatility")

    assert rows.height == NAMES - 1
    assert rows["task"].unique().to_list() == ["volatility"]
    assert rows["threshold"].null_count() == rows.height
    assert (rows["score_calibrated"] > 0).all()
    # New Year's Eve itself is not over as of its start.
    assert rows["index_time"].unique().dt.date().to_list() == [date(2018, 12, 28)]


@pytest.fixture(scope="module")
def explanation(volatility: str) -> Path:
    """What explains the rows that are published of the last day."""
    publish("volatility", "2018-12-31")
    row = open_store(settings()).read_current("volatility").row(0, named=True)
    key = explain_predictions("volatility", row["sequences_key"], row["scores_key"])
    assert explain_predictions("volatility", row["sequences_key"], row["scores_key"]) == key
    return store().open(key)


def test_every_published_row_has_three_reasons(explanation: Path) -> None:
    rows = open_store(settings()).read_current("volatility")
    recipe = store().manifest(f"explain_predictions/{explanation.name}")["recipe"]
    inputs = open_inputs(recipe["inputs"])
    lines, measured = _explained(inputs, rows)
    told = _table(lines, inputs["sequences"])

    assert dict(told.schema) == REASONS
    assert measured["subjects"] == 200
    assert measured["additivity_error"] < 1e-3
    assert set(told["subject_id"]) == set(rows["subject_id"])
    assert told.group_by("subject_id").len()["len"].to_list() == [3] * rows.height
    for _, three in told.group_by("subject_id", maintain_order=True):
        assert three["rank"].to_list() == [1, 2, 3]
        assert three["contribution"].abs().is_sorted(descending=True)
    assert told["days_before"].drop_nulls().is_between(0, 400).all()


def test_reasons_are_written_only_if_every_check_of_them_passed(explanation: Path) -> None:
    told = json.loads((explanation / "faithfulness.json").read_text())
    written = pl.read_parquet(explanation / "reasons.parquet")

    assert None not in [line["found"] for line in told["lines"]]
    passed = [line["verdict"] for line in told["lines"]] == ["pass"] * 7
    assert told["verdict"] == ("pass" if passed else "fail")
    assert written.is_empty() == (told["verdict"] != "pass")
    assert dict(written.schema) == REASONS


def test_reasons_that_are_not_faithful_are_not_even_written(
    explanation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faithfulness, "MOST_ADDITIVITY_ERROR", -1.0)
    recipe = store().manifest(f"explain_predictions/{explanation.name}")["recipe"]
    _write(open_inputs(recipe["inputs"]), tmp_path)

    assert json.loads((tmp_path / "faithfulness.json").read_text())["verdict"] == "fail"
    empty = pl.read_parquet(tmp_path / "reasons.parquet")
    assert empty.is_empty()
    assert dict(empty.schema) == REASONS


def test_scores_of_other_sequences_are_not_explained(explanation: Path) -> None:
    recipe = store().manifest(f"explain_predictions/{explanation.name}")["recipe"]
    with pytest.raises(ArtefactCorrupt, match="not of these sequences"):
        explain_predictions("volatility", "build_sequences/00aa", recipe["inputs"]["scores"])


def test_a_published_subject_has_a_page_that_only_its_owner_reads(
    explanation: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A network of two epochs need not be explained faithfully: the page is what is tried here.
    monkeypatch.setattr(report, "judge_faithfulness", lambda _: judge_faithfulness(FAITHFUL))
    row = open_store(settings()).read_current("volatility").sort("subject_id").row(0, named=True)
    by_pseudonym = write_page("volatility", row["subject_id"])
    text = by_pseudonym.read_text()

    assert by_pseudonym.stat().st_mode & 0o777 == 0o600
    assert by_pseudonym.parent.stat().st_mode & 0o777 == 0o700
    for words in ("Explained", row["release_id"], row["instrument"], "Integrated gradients"):
        assert words in text
    assert text.count("<svg") == 1
    assert subject_of("volatility", row["instrument"]) == row["subject_id"]
    why("volatility", row["instrument"], source_id=True, show_it=False)
    assert capsys.readouterr().out.strip() == str(by_pseudonym)


@pytest.mark.parametrize(
    ("subject", "by_source"),
    [("1", False), ("x", False), ("NOBODY", True), (str(2**63), False), ("1" * 5000, False)],
)
def test_whoever_is_not_published_has_no_page_and_is_not_named(
    explanation: Path, subject: str, by_source: bool
) -> None:
    with pytest.raises(SubjectUnknown) as refused:
        why("volatility", subject, source_id=by_source, show_it=False)
    assert refused.value.exit_code == 27
    assert "NOBODY" not in str(refused.value)


def test_the_quantiles_of_a_price_ascend_around_the_last_one(prices: str) -> None:
    publish("prices", "2018-12-31")
    rows = open_store(settings()).read_current("prices")
    quantiles = rows.select("quantile_05", "quantile_25", "quantile_50", "quantile_75")

    assert rows.height == NAMES - 1
    assert (np.diff(quantiles.to_numpy(), axis=1) >= 0).all()
    assert rows["quantile_50"].to_list() == rows["score_calibrated"].to_list()
    assert ((rows["quantile_50"] / rows["last_price"]).log().abs() < 0.2).all()


@pytest.mark.parametrize("sessions", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_a_backfill_in_any_order_and_twice_gives_the_rows_of_the_days_in_order(
    prices: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sessions: int
) -> None:
    days = [day.isoformat() for day in _sessions()[-sessions - 1 : -1]]
    published = {}
    for order in ("in order", "at random"):
        shutil.copytree(settings().home, tmp_path / order, symlinks=True)
        with monkeypatch.context() as patch:
            patch.setenv("EQUIPOISE_HOME", str(tmp_path / order))
            random = np.random.default_rng(0)
            rounds = 1 if order == "in order" else 2
            for _ in range(rounds):
                numbers = range(sessions) if rounds == 1 else random.permutation(sessions)
                for number in numbers:
                    publish("prices", f"{days[number]}T22:00:00+00:00")
            published[order] = {day: _rows_as_of("prices", day) for day in days}

    assert published["in order"] == published["at random"]
    assert len(set(published["in order"].values())) == sessions


def _sessions() -> list[date]:
    days: list[date] = calendar("XNYS").between(FIRST, LAST)["session"].to_list()
    return days


def _rows_as_of(study: str, day: str) -> bytes:
    rows = open_store(settings()).read_as_of(study, date.fromisoformat(day)).drop(COMES_AND_GOES)
    return rows.write_csv().encode()


@pytest.mark.slow
def test_a_direction_that_nobody_can_predict_is_not_released(market: Path) -> None:
    audited = audit("direction")

    with pytest.raises(GateClosed, match="Skill"):
        release_model("direction", audited)
    assert list_releases("direction") == ()
    assert (store().path(audited) / "report.html").exists()


def test_a_trial_deleted_from_the_ledger_closes_the_gate(market: Path) -> None:
    audited = audit("volatility")
    assert evidence_of(audited).gate is not None
    for entry in (settings().trials_dir / "volatility").glob("0*.json"):
        entry.unlink()

    with pytest.raises(GateClosed, match="ledger"):
        release_model("volatility", audit("volatility"))


def test_a_delisting_hidden_from_the_universe_stops_the_flow(market: Path) -> None:
    universe = market / "universe.csv"
    told = universe.read_text()
    pl.read_csv(universe).with_columns(delisted=pl.lit(None, pl.String)).write_csv(universe)
    try:
        with pytest.raises(ContractBroken, match="delist"):
            check_events("volatility", ingest_events("volatility"))
    finally:
        universe.write_text(told)
