"""Days published late, in any order or twice, are read as if each had been published on its day."""

import random
from collections.abc import Iterable
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.publication.duckdb import publish
from pipelines.publication.duckdb_reading import open_snapshot
from pipelines.publication.store import open_store
from pipelines.settings import Settings, settings
from tests.pipelines.publication_examples import (
    FIRST_DAY,
    PREDICTIONS_OF,
    folders,
    publication,
    recorded_release_of,
)

# Days after FIRST_DAY with a session: gaps lie between, and nothing was before.
SESSIONS = (2, 3, 6, 7, 10)
DAILY_AND_BACKWARDS = (SESSIONS[:3], SESSIONS[2::-1])
ASKED = range(12)
MADE_ANEW = ("published_at", "generation_id")


def publish_days(home: Settings, task: str, days: Iterable[int]) -> int:
    """Publish the days in this order; tells how many generations were made."""
    standing = recorded_release_of(task)
    made = 0
    for day in days:
        # The later the day, the more instruments are listed.
        rows = PREDICTIONS_OF[task](day, rows=day)
        made += publish(publication(day, of=standing), rows, home).made
    return made


def seen_on_every_day(home: Settings, task: str) -> list[pl.DataFrame]:
    """What ``predictions_as_of`` and ``predictions_current`` tell, but for when it was made."""
    query = "SELECT * FROM predictions_as_of($day) ORDER BY subject_id"
    asked = [{"day": (FIRST_DAY + timedelta(days=day)).date()} for day in ASKED]
    with open_snapshot(home) as snapshot:
        frames = [snapshot.sql(query, params=day).pl() for day in asked]
    frames += [open_store(home).read_current(f"toy_{task}"), pl.read_parquet(folders(home).parquet)]
    return [frame.drop(MADE_ANEW) for frame in frames]


def another_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Settings:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / name))
    return settings()


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> list[pl.DataFrame]:
    with pytest.MonkeyPatch.context() as patch:
        home = another_home(tmp_path_factory.mktemp("daily"), patch, "in order")
        publish_days(home, "volatility", SESSIONS)
        return seen_on_every_day(home, "volatility")


def test_a_day_shows_the_session_on_it_or_the_last_one_before(in_order: list[pl.DataFrame]) -> None:
    """The control of the tests below; ``score`` is the day that was published."""
    shown = [frame["score"].unique().to_list() for frame in in_order]
    assert shown == [[], [], [2], [3], [3], [3], [6], [7], [7], [7], [10], [10], [10], [10]]
    assert [frame.height for frame in in_order] == [0, 0, 2, 3, 3, 3, 6, 7, 7, 7, *[10] * 4]


@pytest.mark.parametrize(
    "orders",
    [
        pytest.param(DAILY_AND_BACKWARDS, id="backwards"),
        pytest.param(tuple(permutations(SESSIONS[:3])), id="every order", marks=pytest.mark.slow),
    ],
)
def test_any_order_of_a_backfill_is_read_as_the_daily_runs(
    orders: tuple[tuple[int, ...], ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders of three sessions; the first of them is the daily one."""
    seen = []
    for number, order in enumerate(orders):
        home = another_home(tmp_path, monkeypatch, f"order {number}")
        assert publish_days(home, "quantiles", order) == 3
        seen.append(seen_on_every_day(home, "quantiles"))
    for other in seen[1:]:
        for found, expected in zip(other, seen[0], strict=True):
            assert_frame_equal(found, expected)


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 7))]
)
def test_a_random_backfill_done_twice_is_read_as_the_daily_runs_and_adds_no_row(
    in_order: list[pl.DataFrame], seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)  # noqa: S311 - orders, no secret
    home = another_home(tmp_path, monkeypatch, "random")
    first, second = (draw.sample(SESSIONS, len(SESSIONS)) for _ in range(2))
    assert publish_days(home, "volatility", first) == len(SESSIONS)
    assert publish_days(home, "volatility", second) == 0

    assert len(open_store(home).list_generations("toy_volatility")) == len(SESSIONS)
    for found, expected in zip(seen_on_every_day(home, "volatility"), in_order, strict=True):
        assert_frame_equal(found, expected)


def test_days_missed_in_the_middle_hide_no_later_one_when_they_come(
    in_order: list[pl.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = another_home(tmp_path, monkeypatch, "missed")
    publish_days(home, "volatility", (2, 7, 10))
    current = open_store(home).read_current("toy_volatility")
    publish_days(home, "volatility", (6, 3))

    assert_frame_equal(open_store(home).read_current("toy_volatility"), current)
    for found, expected in zip(seen_on_every_day(home, "volatility"), in_order, strict=True):
        assert_frame_equal(found, expected)
