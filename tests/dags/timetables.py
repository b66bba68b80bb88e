"""``python -m tests.dags.timetables QUESTIONS``: the runs a timetable makes, as JSON.

A question is ``{exchange, minutes, last, earliest, latest, catchup}``, its answer the moments of
all runs in order, or the words of an error; or it is ``{cron}``, and its answer the one moment at
which a scheduler that has just met the flow runs it first.
"""

import json
import sys
from typing import Any

import pendulum
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import DataInterval, TimeRestriction

from dags.exchange import ExchangeTimetable
from dags.studies import at
from pipelines.errors import StudyInvalid


def main() -> None:
    print(json.dumps([answer(question) for question in json.loads(sys.argv[1])]))


def answer(question: dict[str, Any]) -> list[str] | str:
    if "cron" in question:
        return first_run(question["cron"])
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


def first_run(cron: str) -> str:
    stored = decode_timetable(json.loads(json.dumps(encode_timetable(at(cron)))))
    run = stored.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(None, None, False)
    )
    assert run is not None
    return str(run.run_after.isoformat())


def moment(text: str | None) -> pendulum.DateTime | None:
    parsed = pendulum.parse(text) if text else None
    assert parsed is None or isinstance(parsed, pendulum.DateTime)
    return parsed


if __name__ == "__main__":
    main()
