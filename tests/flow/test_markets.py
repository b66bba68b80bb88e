"""Markets on the same spine: a made-up market, from bars to rows, refusals and backfill."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.errors import ContractBroken, GateClosed
from pipelines.publication.reading import read_as_of, read_current
from pipelines.releases import list_releases
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.stages.audit_model import audit_model
from pipelines.stages.audit_predictions import audit_predictions
from pipelines.stages.build_sequences import build_scoring_sequences, build_sequences
from pipelines.stages.check_events import check_events
from pipelines.stages.ingest_events import ingest_events
from pipelines.stages.predict_holdout import predict_holdout
from pipelines.stages.publish_predictions import publish_predictions
from pipelines.stages.release_model import release_model
from pipelines.stages.score_subjects import score_subjects
from pipelines.stages.train_model import train_model
from pipelines.trials import trials_of
from tests.flow.synthetic_market import NAMES, write_market, write_study
from validation.evidence import Evidence, load_evidence

OPEN = {
    "volatility": {
        "task": "volatility",
        "reference": "har",
        "gating": [
            {
                "line": "Beside others",
                "metric": "mae",
                "on": "walk_forward",
                "group": "overall",
                "against": "best_challenger",
                "at_most": 10.0,
            },
        ],
    },
    "prices": {
        "task": "quantiles",
        "reference": "random_walk",
        "gating": [
            {
                "line": "Beside others",
                "metric": "pinball",
                "on": "walk_forward",
                "group": "overall",
                "against": "best_challenger",
                "at_most": 10.0,
            },
        ],
    },
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
        {
            "line": "Beside others",
            "metric": "brier",
            "on": "walk_forward",
            "group": "overall",
            "against": "best_challenger",
            "at_most": 10.0,
        },
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
        "max_score_shift_psi": 1e6,
    }


def audit(study: str) -> str:
    """All stages up to the audit; its key."""
    events = ingest_events(study)
    checks = check_events(study, events)
    sequences = build_sequences(study, events)
    model = train_model(study, sequences)
    predictions = predict_holdout(study, sequences, model)
    return audit_model(study, events, checks, sequences, model, predictions)


def evidence_of(audited: str) -> Evidence:
    return load_evidence(store().open(audited) / "evidence.json")


def publish(study: str, as_of: str) -> str:
    events = ingest_events(study)
    checks = check_events(study, events)
    sequences = build_scoring_sequences(study, events, as_of)
    scores = score_subjects(study, sequences)
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


def test_the_trial_is_in_the_ledger_once_however_often_it_is_looked_at(volatility: str) -> None:
    assert audit("volatility") == volatility
    assert len(trials_of("volatility").trials) == 1


def test_the_published_rows_are_of_the_names_that_still_trade(volatility: str) -> None:
    publish("volatility", "2018-12-31")
    rows = read_current("volatility", settings())

    assert rows.height == NAMES - 1
    assert rows["task"].unique().to_list() == ["volatility"]
    assert rows["threshold"].null_count() == rows.height
    assert (rows["score_calibrated"] > 0).all()
    # New Year's Eve itself is not over as of its start.
    assert rows["index_time"].unique().dt.date().to_list() == [date(2018, 12, 28)]


def test_the_quantiles_of_a_price_ascend_around_the_last_one(prices: str) -> None:
    publish("prices", "2018-12-31")
    rows = read_current("prices", settings())
    quantiles = rows.select("quantile_05", "quantile_25", "quantile_50", "quantile_75")

    assert rows.height == NAMES - 1
    assert (np.diff(quantiles.to_numpy(), axis=1) >= 0).all()
    assert rows["quantile_50"].to_list() == rows["score_calibrated"].to_list()
    assert ((rows["quantile_50"] / rows["last_price"]).log().abs() < 0.2).all()


def test_a_backfill_in_any_order_and_twice_gives_the_rows_of_the_days_in_order(
    prices: str,
) -> None:
    days = [f"2018-12-{day:02d}" for day in (4, 5, 6, 7, 8, 11, 12, 13, 14, 15)]
    for day in days:
        publish("prices", day)
    in_order = {day: _rows_as_of("prices", day) for day in days}

    random = np.random.default_rng(0)
    for _ in range(2):
        for number in random.permutation(len(days)):
            publish("prices", days[number])
    again = {day: _rows_as_of("prices", day) for day in days}

    assert in_order == again
    assert len(set(in_order.values())) == len(days)


def _rows_as_of(study: str, day: str) -> bytes:
    rows = read_as_of(study, date.fromisoformat(day), settings()).drop(COMES_AND_GOES)
    return rows.write_csv().encode()


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
