"""Every task in the same tables: what one does not have is NULL there, and nowhere else."""

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from pipelines.errors import PublicationGateClosed
from pipelines.publication.contract import COLUMNS, published_rows
from pipelines.publication.duckdb import add_generation, publish
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.recording import record_audits
from pipelines.publication.rules import DECIDED_TASKS, NAMES, ONLY_QUANTILES, TASKS
from pipelines.publication.schema import QUANTILE_COLUMNS
from pipelines.publication.store import open_store
from pipelines.publication.writer import open_writer
from pipelines.settings import Settings, settings
from tests.pipelines.publication_examples import (
    PREDICTIONS_OF,
    folders,
    publication,
    recorded_release_of,
    release,
)

Connection = duckdb.DuckDBPyConnection

UNDECIDED = [task for task in TASKS if task not in DECIDED_TASKS]
NAMED = [task for task in TASKS if task != "risk"]
WITHOUT_QUANTILES = [task for task in TASKS if task != "quantiles"]
NOT_FINITE = ("'nan'::DOUBLE", "'inf'::DOUBLE", "'-inf'::DOUBLE")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one generation of each task: each test gets a copy."""
    path = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(path))
        for number, task in enumerate(TASKS, start=1):
            published = publication(number, of=recorded_release_of(task))
            publish(published, PREDICTIONS_OF[task](number), settings())
    return path


@pytest.fixture
def home(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    shutil.copytree(store, tmp_path / "home")
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    return settings()


@pytest.fixture(scope="module")
def copied(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A connection to one copy for all rows that are tried by hand."""
    copy = tmp_path_factory.mktemp("copied") / "writer.duckdb"
    shutil.copyfile(PublicationFolders(store / "publication").writer, copy)
    with duckdb.connect(str(copy)) as connection:
        yield connection


@pytest.fixture
def by_hand(copied: Connection) -> Iterator[Connection]:
    """A transaction of its own for each test: what it inserts is rolled back."""
    copied.begin()
    yield copied
    copied.rollback()


@pytest.mark.parametrize("task", TASKS)
def test_what_a_task_publishes_is_read_as_it_was_given(home: Settings, task: str) -> None:
    given = PREDICTIONS_OF[task](TASKS.index(task) + 1)
    found = open_store(home).read_current(f"toy_{task}")

    assert_frame_equal(found.select(*COLUMNS), given.select(*COLUMNS), check_dtypes=False)
    decides = task in DECIDED_TASKS
    assert found["threshold"].to_list() == [0.5 if decides else None] * 4
    # Calibrated scores of subjects 1..4 are .25, .5, .75 and 0.
    assert found["decision"].to_list() == ([False, True, True, False] if decides else [None] * 4)


def test_the_parquet_file_shows_every_task_and_whether_it_is_point_in_time(home: Settings) -> None:
    parquet = pl.read_parquet(folders(home).parquet)

    assert set(COLUMNS) <= set(parquet.columns)
    assert set(parquet.select("task", "is_point_in_time").rows()) == {
        ("risk", True),
        ("direction", False),
        ("volatility", False),
        ("quantiles", False),
    }


def row_by_hand(by_hand: Connection, task: str, change: dict[str, str]) -> None:
    """Insert a copy of a task's first row under another subject, with some columns changed."""
    changed = {"subject_id": "1000"} | change
    replaced = ", ".join(f"{value} AS {column}" for column, value in changed.items())
    row = by_hand.table("predictions").filter(f"task = '{task}' AND subject_id = 1")
    row.project(f"* REPLACE ({replaced})").insert_into("predictions")


@pytest.mark.parametrize("task", TASKS)
def test_a_row_of_any_task_that_breaks_nothing_goes_in(by_hand: Connection, task: str) -> None:
    """The control of the tests below: it is the changed column that they are refused for."""
    row_by_hand(by_hand, task, {})
    found = by_hand.execute("SELECT count(*) FROM predictions WHERE task = $task", {"task": task})
    assert found.fetchall() == [(5,)]


def holes() -> Iterator[tuple[str, dict[str, str]]]:
    """(task, changed columns) of rows that a CHECK which is NULL would let in."""
    for task in DECIDED_TASKS:
        yield task, {"threshold": "NULL"}
        yield task, {"decision": "NULL"}
        yield task, {"threshold": "NULL", "decision": "NULL"}
        yield task, {"threshold": "'nan'::DOUBLE", "decision": "false"}
        yield task, {"threshold": "1.5", "decision": "false"}
        yield task, {"decision": "NOT decision"}
        yield task, {"score_calibrated": "1.01"}
        yield task, {"score_high": "1.01"}
        yield task, {"score_low": "-0.01"}
    for task in UNDECIDED:
        yield task, {"threshold": "0.5"}
        yield task, {"decision": "true"}
        yield task, {"threshold": "0.5", "decision": "score_calibrated >= 0.5"}
        yield task, {"score_calibrated": "0"}
        yield task, {"score_low": "0"}
        yield task, {"score_low": "-1"}
    for task in TASKS:
        for name in ("score", "score_calibrated", "score_low", "score_high"):
            yield from ((task, {name: value}) for value in NOT_FINITE)
        yield task, {"score_low": "score_high + 0.001"}
    for task in WITHOUT_QUANTILES:
        yield from ((task, {name: "1"}) for name in ONLY_QUANTILES)
        yield task, {name: str(place) for place, name in enumerate(ONLY_QUANTILES, start=1)}
    yield from (("quantiles", change) for change in holes_of_quantiles())
    yield from holes_of_names()


def holes_of_names() -> Iterator[tuple[str, dict[str, str]]]:
    """A patient with a name, or as much as an empty one; an instrument without."""
    for value in ("'P17'", "''"):
        yield from (("risk", {name: value}) for name in NAMES)
        yield "risk", dict.fromkeys(NAMES, value)
    for task in NAMED:
        for value in ("NULL", "''"):
            yield from ((task, {name: value}) for name in NAMES)
            yield task, dict.fromkeys(NAMES, value)


def holes_of_quantiles() -> Iterator[dict[str, str]]:
    for name in ONLY_QUANTILES:
        yield from ({name: value} for value in ("NULL", *NOT_FINITE))
    yield dict.fromkeys(QUANTILE_COLUMNS, "NULL")
    yield dict.fromkeys(ONLY_QUANTILES, "NULL")
    yield from ({low: "0.5", high: "0.4"} for low, high in pairwise(QUANTILE_COLUMNS))
    yield {"quantile_05": "0.3"}
    yield {"last_price": "0"}
    yield {"last_price": "-1"}


@pytest.mark.parametrize(("task", "change"), list(holes()))
def test_a_row_by_hand_that_its_task_does_not_allow_is_refused(
    by_hand: Connection, task: str, change: dict[str, str]
) -> None:
    with pytest.raises(duckdb.ConstraintException, match="CHECK"):
        row_by_hand(by_hand, task, change)


@pytest.mark.parametrize("task", WITHOUT_QUANTILES)
def test_a_row_cannot_be_said_to_be_of_another_task_than_its_generation(
    by_hand: Connection, task: str
) -> None:
    others = {"risk": "direction", "direction": "risk", "volatility": "quantiles"}
    filled = {
        "risk": dict.fromkeys(NAMES, "'any'"),
        "direction": dict.fromkeys(NAMES, "NULL"),
        "volatility": {name: str(place) for place, name in enumerate(ONLY_QUANTILES, start=1)},
    }
    change = {"task": f"'{others[task]}'"} | filled[task]
    with pytest.raises(duckdb.ConstraintException, match="foreign key"):
        row_by_hand(by_hand, task, change)


@pytest.mark.parametrize(
    ("task", "change", "reason"),
    [
        ("risk", {"threshold": "NULL"}, "CHECK"),
        ("direction", {"threshold": "NULL"}, "CHECK"),
        ("risk", {"threshold": "'nan'::DOUBLE"}, "CHECK"),
        ("volatility", {"threshold": "0.5"}, "CHECK"),
        ("quantiles", {"threshold": "0.5"}, "CHECK"),
        ("risk", {"task": "'price'"}, "CHECK"),
    ],
)
def test_a_release_by_hand_has_a_threshold_exactly_where_its_task_decides(
    by_hand: Connection, task: str, change: dict[str, str], reason: str
) -> None:
    release = by_hand.table("releases").filter(f"task = '{task}'")
    # An approval carries one release: the one by hand gets an approval of its own.
    own = {"approval_id": "'another'"}
    (approval_id,) = release.project("approval_id").fetchall()[0]
    approval = by_hand.table("approvals").filter(f"approval_id = '{approval_id}'")
    approval.project(_replacing(own)).insert_into("approvals")
    with pytest.raises(duckdb.ConstraintException, match=reason):
        release.project(_replacing({"release_id": "'another'"} | own | change)).insert_into(
            "releases"
        )


def _replacing(changed: dict[str, str]) -> str:
    return f"* REPLACE ({', '.join(f'{value} AS {column}' for column, value in changed.items())})"


def test_a_generation_by_hand_cannot_be_of_another_task_than_its_release(
    by_hand: Connection,
) -> None:
    row = by_hand.table("publications").filter("task = 'risk'")
    changed = "'another' AS generation_id, 99 AS generation_number, 'direction' AS task"
    with pytest.raises(duckdb.ConstraintException, match="foreign key"):
        row.project(f"* REPLACE ({changed})").insert_into("publications")


null = pl.lit(None, pl.Float64)
BREAKAGES: list[tuple[str, dict[str, pl.Expr], str]] = [
    ("risk", {"task": pl.lit("price")}, "task is one of risk, direction, volatility, quantiles"),
    ("risk", {"task": pl.lit(None, pl.String)}, "task is known"),
    ("risk", {"is_point_in_time": pl.lit(None, pl.Boolean)}, "is_point_in_time is known"),
    (
        "risk",
        {"task": pl.when(pl.col("subject_id") > 3).then(pl.lit("direction")).otherwise("task")},
        "1 of 4 rows break: one task per generation",
    ),
    ("risk", {"instrument": pl.lit("P17")}, "4 of 4 rows break: instrument is null for risk"),
    ("risk", {"instrument_group": pl.lit("")}, "instrument_group is null for risk"),
    (
        "direction",
        {"instrument": pl.when(pl.col("subject_id") > 1).then("instrument")},
        "1 of 4 rows break: instrument is known and not empty for every task but risk",
    ),
    ("volatility", {"instrument": pl.lit("")}, "instrument is known and not empty"),
    ("quantiles", {"instrument_group": pl.lit(None, pl.String)}, "instrument_group is known and"),
    ("quantiles", {"instrument_group": pl.lit("")}, "instrument_group is known and not empty"),
    ("direction", {"score_high": pl.lit(1.5)}, "score_high is within 0 and 1 for risk and direc"),
    ("volatility", {"score_low": pl.lit(0.0)}, "score_low is above 0 for volatility and quanti"),
    ("volatility", {"score_high": pl.lit(float("inf"))}, "score_high is a finite number"),
    ("volatility", {"score_calibrated": pl.lit(float("nan"))}, "score_calibrated is a finite"),
    ("volatility", {"last_price": pl.lit(1.0)}, "last_price is null for every other task"),
    ("risk", {"quantile_75": pl.lit(1.0)}, "quantile_75 is null for every other task"),
    ("quantiles", {"quantile_05": null}, "quantile_05 is known for quantiles"),
    ("quantiles", {"quantile_95": pl.lit(float("inf"))}, "quantile_95 is a finite number"),
    ("quantiles", {"quantile_50": pl.lit(float("nan"))}, "quantile_50 is a finite number"),
    ("quantiles", {"quantile_25": pl.lit(0.05)}, "4 of 4 .*: quantile_25 is not above quantile_50"),
    ("quantiles", {"last_price": null}, "last_price is known for quantiles"),
    ("quantiles", {"last_price": pl.lit(0.0)}, "last_price is above 0"),
]


@pytest.mark.parametrize(("task", "change", "message"), BREAKAGES)
def test_rows_that_their_task_does_not_allow_are_refused_by_rule_and_count(
    home: Settings, task: str, change: dict[str, pl.Expr], message: str
) -> None:
    rows = PREDICTIONS_OF[task](9).with_columns(**change)
    with pytest.raises(PublicationGateClosed, match=message):
        publish(publication(9, of=recorded_release_of(task)), rows, home)
    assert len(open_store(home).list_generations(f"toy_{task}")) == 1


@pytest.mark.parametrize(
    ("task", "under", "message"),
    [
        ("direction", "volatility", "the release has a threshold for risk and direction"),
        ("quantiles", "risk", "the release has no threshold for volatility and quantiles"),
    ],
)
def test_a_release_with_a_threshold_publishes_decisions_and_one_without_none(
    home: Settings, task: str, under: str, message: str
) -> None:
    with pytest.raises(PublicationGateClosed, match=f"4 of 4 rows break: {message}"):
        publish(publication(9, of=recorded_release_of(under)), PREDICTIONS_OF[task](9), home)


def test_a_release_that_published_one_task_publishes_no_other(home: Settings) -> None:
    with pytest.raises(PublicationGateClosed, match="a constraint of the database"):
        publish(
            publication(9, of=recorded_release_of("risk")), PREDICTIONS_OF["direction"](9), home
        )
    assert open_store(home).read_current("toy_risk")["task"].unique().to_list() == ["risk"]


@pytest.mark.parametrize("task", TASKS)
def test_the_tables_take_all_that_the_rules_let_through_at_their_edges(
    home: Settings, task: str
) -> None:
    """Ends of the ranges, and quantiles that touch: both sides allow them."""
    top = 1.0 if task in DECIDED_TASKS else 1e300
    low = 0.0 if task in DECIDED_TASKS else 5e-324
    edge = {"score": pl.lit(-1e300), "score_low": pl.lit(low), "score_high": pl.lit(top)}
    touching = {name: pl.lit(1e300) for name in ONLY_QUANTILES} if task == "quantiles" else {}
    rows = PREDICTIONS_OF[task](9).with_columns(**edge, **touching)
    published = publication(9, of=recorded_release_of(task))

    with open_writer(folders(home), 1) as writer:
        record_audits(writer, published)
        added = add_generation(writer, published, published_rows(published, rows))
    assert added.row_count == 4


def test_a_release_without_a_threshold_is_another_than_one_with_it() -> None:
    without = release(threshold=None)
    assert without.threshold is None
    assert without.release_id != release().release_id
    assert release(threshold=0.5).release_id == release().release_id


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_release_has_a_threshold_between_0_and_1_or_none(threshold: float) -> None:
    with pytest.raises(ValidationError, match="threshold"):
        release(threshold=threshold)
