"""When a market study is scored: after each session's own close, and as of that moment."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.dags.conftest import describe
from tests.dags.installations import (
    AFTER_XNYS,
    calls,
    environment,
    market_text,
    python,
    write_studies,
)


def answers(home: Path, *questions: dict[str, Any]) -> list[Any]:
    env = environment(home, write_studies(home.parent / "none"))
    code, output, errors = python("-m", "tests.dags.timetables", json.dumps(questions), env=env)
    assert code == 0, errors
    found: list[Any] = json.loads(output.splitlines()[-1])
    return found


def between(
    earliest: str, latest: str, exchange: str = "XNYS", minutes: int = 30
) -> dict[str, Any]:
    return {"exchange": exchange, "minutes": minutes, "earliest": earliest, "latest": latest}


# By hand from the exchanges' published holidays and hours; New York closes at 16:00, at 13:00 on
# the day after Thanksgiving, and is 5 hours behind UTC in winter and 4 in summer.
KNOWN = {
    "Thanksgiving is no session and the day after it closes early": (
        between("2024-11-27", "2024-12-02"),
        ["2024-11-27T21:30:00+00:00", "2024-11-29T18:30:00+00:00"],
    ),
    "the clocks of New York went forward on 10 March 2024": (
        between("2024-03-08", "2024-03-12"),
        ["2024-03-08T21:30:00+00:00", "2024-03-11T20:30:00+00:00"],
    ),
    "Good Friday is no session": (
        between("2024-03-28", "2024-04-02"),
        ["2024-03-28T20:30:00+00:00", "2024-04-01T20:30:00+00:00"],
    ),
    "New Year's Day is no session and the year's end is no seam": (
        between("2024-12-31", "2025-01-03"),
        ["2024-12-31T21:30:00+00:00", "2025-01-02T21:30:00+00:00"],
    ),
    "no minutes are the close itself": (
        between("2024-11-29", "2024-11-30", minutes=0),
        ["2024-11-29T18:00:00+00:00"],
    ),
    "a day later is still one run for each session": (
        between("2024-11-28", "2024-12-03", minutes=24 * 60),
        ["2024-11-28T21:00:00+00:00", "2024-11-30T18:00:00+00:00"],
    ),
    "both ends of the time belong to it": (
        between("2024-11-27T21:30:00Z", "2024-11-29T18:30:00Z"),
        ["2024-11-27T21:30:00+00:00", "2024-11-29T18:30:00+00:00"],
    ),
    "London trades on Thanksgiving and closes at 16:30": (
        between("2024-11-28", "2024-11-29", exchange="XLON"),
        ["2024-11-28T17:00:00+00:00"],
    ),
}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("timetables") / "home"
    return dict(zip(KNOWN, answers(home, *(asked for asked, _ in KNOWN.values())), strict=True))


@pytest.mark.parametrize("case", KNOWN)
def test_runs_are_the_sessions_of_the_exchange(known: dict[str, Any], case: str) -> None:
    assert known[case] == KNOWN[case][1]


def test_of_missed_runs_only_the_newest_is_made_unless_all_are_asked_for(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    asked = {
        "exchange": "24/7",
        "minutes": 30,
        "last": (now - timedelta(days=5)).isoformat(),
        "latest": now.isoformat(),
    }
    never_ran = asked | {"last": None, "catchup": False}
    every, newest, new = answers(tmp_path / "home", asked, asked | {"catchup": False}, never_ran)
    assert len(every) == 5
    assert newest == every[-1:]
    # Within the first minutes after a moment a flow that never ran may still start with it.
    assert new in ([], every[-1:])


def test_a_flow_that_is_new_waits_for_its_next_hour(tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    made_up, *waiting = (now - timedelta(minutes=minutes) for minutes in (5, 30, 130))
    questions = ({"cron": f"{due.minute} {due.hour} * * *"} for due in (made_up, *waiting))
    firsts = [datetime.fromisoformat(each) for each in answers(tmp_path / "home", *questions)]
    assert firsts == [made_up, *(due + timedelta(days=1) for due in waiting)]


def test_an_exchange_without_a_calendar_is_refused_by_its_name(tmp_path: Path) -> None:
    [words] = answers(tmp_path / "home", between("2024-01-01", "2024-02-01", exchange="XMOON"))
    assert "no calendar of the exchange XMOON" in words
    assert "get_calendar_names()" in words


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str]]:
    """A market study's runs, and the moments that its scoring was given."""
    home = tmp_path_factory.mktemp("exchange") / "home"
    env = environment(home, write_studies(home.parent / "studies", market=market_text(AFTER_XNYS)))
    code, output, errors = python("-m", "tests.dags.exchange_runs", env=env)
    assert code == 0, output + errors
    lines = [line for line in calls(home) if line.startswith("merge_sequences ")]
    given = [json.loads(line.split(" ", 1)[1])[-1] for line in lines]
    return json.loads(output.splitlines()[-1]), given


def test_a_market_waits_for_its_release_or_its_sessions_in_what_airflow_stores(
    ran: tuple[dict[str, Any], list[str]],
) -> None:
    found, _ = ran
    assert found["summary"] == "Asset or XNYS close + 30 min"
    assert found["assets"] == ["release__market"]
    assert found["heavy_before_a_moment_is_asked_for"] == []


def test_a_backfill_makes_the_runs_that_the_days_would_have_made(
    ran: tuple[dict[str, Any], list[str]],
) -> None:
    found, given = ran
    assert found["periodic"], "Airflow backfills nothing else"
    assert found["backfill"] == found["daily"]
    assert found["daily"] == [
        "2024-11-27T21:30:00+00:00",
        "2024-11-29T18:30:00+00:00",
        "2024-12-02T21:30:00+00:00",
    ]
    assert given[:2] == ["2024-11-29T18:30:00+00:00"] * 2


def test_a_run_that_no_clock_started_scores_as_of_its_own_moment(
    ran: tuple[dict[str, Any], list[str]],
) -> None:
    moment = datetime.fromisoformat(ran[1][2])
    assert timedelta(0) <= datetime.now(UTC) - moment < timedelta(minutes=10)
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (AFTER_XNYS | {"score": "0 5 * * *"}, "not both"),
        ({"score_after_close": {"exchange": "XLON", "minutes": 30}}, "not the exchange of the"),
        ({"score_after_close": {"exchange": "XNYS", "minutes": 1441}}, "less than or equal to"),
        ({"score_after_close": {"exchange": "XNYS"}}, "minutes: Field required"),
    ],
)
def test_a_clock_that_cannot_be_meant_is_refused(
    tmp_path: Path, schedule: dict[str, Any], words: str
) -> None:
    studies = write_studies(tmp_path / "studies", market=market_text(schedule))
    dag = describe(tmp_path / "home", studies)["dags"]["score__market"]
    assert list(dag["tasks"]) == ["read_study"]
    assert words in dag["doc"]
