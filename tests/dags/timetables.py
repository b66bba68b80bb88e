"""``python -m tests.dags.timetables QUESTIONS``: the runs a timetable makes, as JSON.

A question is ``{exchange, minutes, last, earliest, latest, catchup}``, its answer the moments of
all runs in order, or the words of an error.
"""

import json
import sys
from typing import Any

import pendulum
from airflow.timetables.base import DataInterval, TimeRestriction

from dags.exchange import ExchangeTimetable
from pipelines.errors import StudyInvalid


def main() -> None:
    print(json.dumps([answer(question) for question in json.loads(sys.argv[1])]))


def answer(question: dict[str, Any]) -> list[str] | str:
    try:
        return runs(question)
    except StudyInvalid as error:
        return str(error)


def runs(question: dict[str, Any]) -> list[str]:
    first = ExchangeTimetable(question["exchange"], question["minutes"])
    timetable = ExchangeTimetable.deserialize(json.loads(json.dumps(first.serialize())))
    restriction = TimeRestriction(
        moment(question.get("earliest")),
        moment(question.get("latest")),
        question.get("catchup", True),
    )
    last, found = moment(question.get("last")), []
    interval = None if last is None else DataInterval.exact(last)
    while run := timetable.next_dagrun_info(
        last_automated_data_interval=interval, restriction=restriction
    ):
        assert run.logical_date == run.run_after
        found.append(run.run_after.isoformat())
        interval = run.data_interval
    return found


def moment(text: str | None) -> pendulum.DateTime | None:
    parsed = pendulum.parse(text) if text else None
    assert parsed is None or isinstance(parsed, pendulum.DateTime)
    return parsed


if __name__ == "__main__":
    main()
