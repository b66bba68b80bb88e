"""One DAG per study of this installation, and what stands in for a study that cannot be read."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from airflow.exceptions import AirflowTimetableInvalid
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronTriggerTimetable, Param

from dags.alerts import tell_of_run
from dags.exchange import GRACE, ExchangeTimetable
from dags.stages import stage
from pipelines.errors import EquipoiseError, StudyInvalid
from pipelines.releases import require_study_name
from pipelines.study import Study, load_study, study_names

Schedule = AssetOrTimeSchedule | CronTriggerTimetable | list[Asset] | None

# Activated at once: a release that nothing scores, or a broken study that nobody hears of,
# would be the surprise. Without a start date the first run is the next one, never a missed one.
COMMON: dict[str, Any] = {
    "catchup": False,
    "max_active_runs": 1,
    "is_paused_upon_creation": False,
    "on_failure_callback": tell_of_run,
}


def dag_per_study(
    flow: str,
    graph: Callable[[Study], None],
    *,
    when: Callable[[Study], Schedule],
    params: Mapping[str, Param] | None = None,
    runs_at_once: int = 1,
    wanted: Callable[[Study], bool] | None = None,
) -> dict[str, DAG]:
    """The DAGs ``<flow>__<study>`` by study, each filled by ``graph(study)``.

    A flow that not every study asks for has ``wanted``; a study that cannot be read is none of its.

    One file makes all DAGs of a flow, so an exception here would take down every study. A study
    that cannot be read keeps its DAG: the only task fails once a day and says why, which is seen
    in the web page and reaches the person who is told of failures.
    """
    names = [name for name in study_names() if wanted is None or _asks(name, wanted)]
    dags = {name: _dag(flow, name, graph, when, params or {}) for name in names}
    for dag in dags.values():
        dag.max_active_runs = runs_at_once
    return dags


def at(cron: str) -> CronTriggerTimetable:
    """A cron expression in UTC. Of a new flow nothing is made up for that was due over GRACE ago.

    Airflow's own default runs a daily flow at once for 2.4 hours after its time: a study that is
    new would be scored before it has a release.

    Raises:
        StudyInvalid: it is none.
    """
    timetable = CronTriggerTimetable(cron, timezone="UTC", run_immediately=GRACE)
    try:
        timetable.validate()
    except AirflowTimetableInvalid:
        raise StudyInvalid(
            f"`{cron}` is no cron expression.",
            where="the study's section `schedule`",
            remedy="Write minute, hour, day, month, weekday, as in `30 5 * * *`; times are UTC.",
        ) from None
    return timetable


def after_close(study: Study) -> ExchangeTimetable | None:
    """The sessions that scoring waits for, if the study names an exchange.

    Whether it has a calendar is not asked here: it is the exchange of the records, and without a
    calendar they cannot be taken in, so there is no release to score with.

    Raises:
        StudyInvalid: the study's records are not of that exchange.
    """
    schedule = study.schedule.score_after_close
    if schedule is None:
        return None
    exchange = getattr(getattr(study.records, "source", None), "exchange", None)
    if exchange != schedule.exchange:
        raise StudyInvalid(
            f"Scoring waits for {schedule.exchange}, which is not the exchange of the records.",
            where="the study's section `schedule`",
            remedy="Name the exchange of `market.source`, or give `score` a cron expression.",
        )
    return ExchangeTimetable(schedule.exchange, schedule.minutes)


def _dag(
    flow: str,
    name: str,
    graph: Callable[[Study], None],
    when: Callable[[Study], Schedule],
    params: Mapping[str, Param],
) -> DAG:
    try:
        study = _readable(name)
        schedule = when(study)
    except Exception as error:
        return _broken(flow, name, error)
    with DAG(
        dag_id=f"{flow}__{name}",
        dag_display_name=f"{flow}: {study.title}",
        doc_md=f"{study.purpose}\n\nStudy `{name}`, owned by {study.owner}.",
        schedule=schedule,
        params=dict(params),
        default_args={"owner": study.owner},
        tags={flow, name, study.domain},
        **COMMON,
    ) as dag:
        graph(study)
    return dag


def _asks(name: str, wanted: Callable[[Study], bool]) -> bool:
    try:
        return wanted(_readable(name))
    except Exception:
        # The study's other DAGs say daily what is wrong with it.
        return False


def _broken(flow: str, name: str, error: Exception) -> DAG:
    words = str(error) if isinstance(error, EquipoiseError) else type(error).__name__
    with DAG(
        dag_id=f"{flow}__{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}",
        dag_display_name=f"{flow}: {name} cannot be read",
        doc_md=f"```\n{words}\n```",
        schedule=at("0 6 * * *"),
        tags={flow, "broken"},
        **COMMON,
    ) as dag:
        read_study(name)
    return dag


@stage(hours=0.1)
def read_study(study: str) -> str:
    """Read the study. Fails with every line that is wrong in it."""
    return _readable(study).name


def _readable(name: str) -> Study:
    """The study, if DAGs can be made of it."""
    study = load_study(require_study_name(name))
    for cron in (study.schedule.train, study.schedule.score):
        at(cron or "@daily")
    after_close(study)
    return study
