"""``python -m tests.dags.exchange_runs``: the scoring of a market study, as JSON.

Needs toy stages and a study ``market``. The DAG is asked through what Airflow stores of it, for
the runs a scheduler makes day by day and for those of a backfill of the same days; one session
is then run as each of the two would run it.
"""

import json
import sys
from datetime import UTC, datetime
from typing import Any

from dags.environment import airflow_environment, enter
from dags.metadata import metadata_file, migrate

FIRST, LAST = datetime(2024, 11, 27, tzinfo=UTC), datetime(2024, 12, 3, tzinfo=UTC)
HALF_DAY = 1


def main() -> None:
    with metadata_file("exchange") as database:
        enter(airflow_environment(database))
        import airflow  # noqa: F401 - sets itself up before the first look at its tables

        migrate(database)
        answer = describe_runs()
    print(json.dumps(answer))


def describe_runs() -> dict[str, Any]:
    from airflow.serialization.serialized_objects import DagSerialization

    import dags.scoring

    dag = dags.scoring.DAGS["market"]
    text = json.dumps(DagSerialization.to_dict(dag), default=str)
    stored: Any = DagSerialization.from_dict(json.loads(text))
    heavy = sorted({"pandas", "polars", "exchange_calendars"} & set(sys.modules))
    daily = scheduled(stored.timetable)
    filled = [info.logical_date for info in stored.iter_dagrun_infos_between(FIRST, LAST)]
    for moment in (daily[HALF_DAY], filled[HALF_DAY]):
        dag.test(logical_date=moment)
    dag.test(logical_date=None)
    return {
        "summary": stored.timetable.summary,
        "periodic": stored.timetable.periodic,
        "assets": [asset.name for _, asset in stored.timetable.asset_condition.iter_assets()],
        "heavy_before_a_moment_is_asked_for": heavy,
        "daily": [moment.isoformat() for moment in daily],
        "backfill": [moment.isoformat() for moment in filled],
    }


def scheduled(timetable: Any) -> list[datetime]:
    """The runs a scheduler makes one after the other, each worked out from the last."""
    import pendulum
    from airflow.timetables.base import DagRunInfo, TimeRestriction

    until = TimeRestriction(earliest=None, latest=pendulum.instance(LAST), catchup=True)
    last = DagRunInfo.exact(pendulum.datetime(2024, 11, 26, 21, 30))
    moments = []
    while found := timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=until):
        last = found
        moments.append(last.run_after)
    return moments


if __name__ == "__main__":
    main()
