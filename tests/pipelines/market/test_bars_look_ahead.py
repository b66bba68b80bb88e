"""What was known later judges no row: a source cut at a moment gives the rows of that moment."""

import tempfile
from datetime import UTC, datetime, time
from pathlib import Path

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.events import Ingested
from tests.pipelines.market.market_files import bars_of, ingested, market, write_lines

DAYS = ("2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-08")
COLUMNS = {"time": "day", "instrument": "name", "close": "close", "known_time": "known"}
SPLITS = {
    "format": "csv",
    "kind": "split",
    "instrument": "name",
    "effective": "day",
    "amount": "ratio",
    "known_time": "known",
}
# session, sessions until known, close or ratio
Row = tuple[int, int, str]
PLACES = st.integers(0, len(DAYS) - 1)
LATE = st.integers(1, 3)
# Every session has a close at once, most of them a split apart; some are restated later.
AT_ONCE = st.tuples(*[st.sampled_from(["10", "20", "30"])] * len(DAYS)).map(
    lambda values: [(session, 0, value) for session, value in enumerate(values)]
)
RESTATED = st.lists(st.tuples(PLACES, LATE, st.sampled_from(["10", "20", "0"])), max_size=4)
CLOSES = st.tuples(AT_ONCE, RESTATED).map(lambda both: both[0] + both[1])
RATIOS = st.lists(st.tuples(PLACES, LATE, st.sampled_from(["2", "3"])), min_size=1, max_size=3)


def at_once(*values: str) -> list[Row]:
    """Closes that were known at once, one per session."""
    return [(session, 0, value) for session, value in enumerate(values)]


def lines(rows: list[Row], last: int) -> list[str]:
    """The rows that were known by the session ``last``, in the order of the file."""
    return [
        f"{DAYS[session]},AAA,{value},{DAYS[session + late]}"
        for session, late, value in rows
        if session + late <= min(last, len(DAYS) - 1)
    ]


def read(closes: list[Row], ratios: list[Row], last: int) -> Ingested:
    with tempfile.TemporaryDirectory() as folder:
        bars = write_lines(Path(folder) / "b.csv", "day,name,close,known", *lines(closes, last))
        splits = write_lines(Path(folder) / "s.csv", "day,name,ratio,known", *lines(ratios, last))
        return ingested(
            market(
                bars_of(bars, columns=COLUMNS),
                actions=[{**SPLITS, "path": str(splits)}],
                universe={"is_point_in_time": False, "instruments": {"AAA": {}}},
                closes_are_adjusted=False,
            )
        )


def known_by(tables: Ingested, last: int) -> list[tuple[object, ...]]:
    moment = datetime.combine(datetime.fromisoformat(DAYS[last]), time(22), UTC)
    return (
        tables.events.filter(pl.col("known_time") <= moment)
        .select("time", "known_time", pl.col("code").cast(pl.String), "numeric_value")
        .rows()
    )


@settings(deadline=None, max_examples=30)
@given(CLOSES, RATIOS, PLACES)
@example(at_once("30", "30", "10", "10", "10"), [(2, 1, "3")], 2)  # a split told a session late
@example([*at_once("10", "10", "20", "20", "20"), (1, 3, "20")], [], 2)  # the close before, mended
@example([*at_once("10", "10", "10", "10", "10"), (0, 2, "20")], [], 0)  # a close restated
def test_deleting_what_was_known_later_changes_no_accepted_row(
    closes: list[Row], ratios: list[Row], last: int
) -> None:
    whole = read(closes, ratios, len(DAYS))

    assert known_by(read(closes, ratios, last), last) == known_by(whole, last)


def test_the_rows_of_this_test_are_restated_split_and_refused() -> None:
    closes: list[Row] = [(0, 0, "30"), (1, 0, "10"), (0, 2, "10"), (1, 2, "11.7"), (2, 0, "11")]

    untold = read(closes, [], len(DAYS))
    told = read(closes, [(1, 0, "3")], len(DAYS))

    assert untold.quarantine.select("rule", "source_row").rows() == [("unadjusted_split", 2)]
    assert told.quarantine.height == 0
