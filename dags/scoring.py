"""``score__<study>``: from the study's source to a new generation of predictions."""

from typing import Any

from airflow.sdk import AssetOrTimeSchedule, Param, chain

from dags.assets import publication_of, release_of
from dags.records import (
    build_sequences,
    check_events,
    ingested,
    merge_sequences,
    over_shards,
)
from dags.stages import stage
from dags.studies import Schedule, after_close, at, dag_per_study
from pipelines.study import Study

PARAMS = {
    "as_of": Param(
        None,
        type=["null", "string"],
        format="date",
        title="As of",
        description_md="Score who is eligible at the start of this day (UTC), from what was "
        "known by then. Empty: the day of the run, or its very moment if the study is scored after "
        "an exchange's close.",
    )
}

# A run that an asset triggered has no logical date.
DAY = "{{ params.as_of or (dag_run.logical_date or dag_run.run_after) | ds }}"
# The first moment of a day has not seen the session that closed on it.
MOMENT = "{{ params.as_of or (dag_run.logical_date or dag_run.run_after) | ts }}"

# What is handed on where nothing is explained: a task that hands on nothing counts as skipped.
NO_REASONS = "none"


@stage(hours=2)
def score_subjects(study: str, sequences: str, shard: str) -> str:
    """Score a shard with the release that stands in the store, whatever event started this run."""
    from pipelines.stages.score_subjects import score_subjects as run

    return run(study, sequences, shard)


@stage(hours=0.5)
def merge_scores(study: str, sequences: str, parts: list[str]) -> str:
    """Put the scores of all shards together, by the release that made them."""
    from pipelines.stages.merge_scores import merge_scores as run

    return run(study, sequences, list(parts))


@stage(hours=1)
def explain_predictions(study: str, sequences: str, scores: str) -> str:
    """Say why each row has its score; nothing is said if that is not shown to be faithful."""
    from pipelines.stages.explain_predictions import explain_predictions as run

    return run(study, sequences, scores)


@stage(hours=0.1, trigger_rule="all_done_min_one_success")
def take_reasons(scores: str, reasons: str | None) -> str:
    """Hand on what explains the scores, or that nothing does: a failed explanation stops no score.

    Waits for both and runs if one succeeded: without scores there is nothing to hand on.
    """
    return reasons or NO_REASONS


@stage(hours=1)
def audit_predictions(study: str, sequences: str, scores: str) -> str:
    """Compare this generation with its release, write evidence, judge. Does not fail here."""
    from pipelines.stages.audit_predictions import audit_predictions as run

    return run(study, sequences, scores)


@stage(hours=0.5)
def publish_predictions(study: str, checks: str, scores: str, audit: str, reasons: str) -> str:
    """Publish the generation whole if its audit passed. Fails, and the last one stands, if not."""
    from pipelines.stages.publish_predictions import publish_predictions as run

    return run(study, checks, scores, audit, None if reasons == NO_REASONS else reasons)


def score(spec: Study) -> None:
    """The graph. A check's key decides nothing that follows; publishing asks that it was made.

    The audit does not wait for the reasons: scores are published as their own audit decides.
    """
    study, as_of = spec.name, MOMENT if spec.schedule.score_after_close else DAY
    chain(
        events := ingested(spec),
        checks := check_events(study, events),
        parts := over_shards(build_sequences, spec, events=events, as_of=as_of),
        sequences := merge_sequences(study, events, parts, as_of),
        scored := over_shards(score_subjects, spec, sequences=sequences),
        scores := merge_scores(study, sequences, scored),
        audit := audit_predictions(study, sequences, scores),
    )
    reasons = take_reasons(scores, explain_predictions(study, sequences, scores))
    publish_predictions.override(outlets=[publication_of(study)])(
        study, checks, scores, audit, reasons
    )


def when(study: Study) -> Schedule:
    """At each new release, and at the study's own times."""
    release, cron = release_of(study.name), study.schedule.score
    clock: Any = at(cron) if cron else after_close(study)
    return AssetOrTimeSchedule(assets=[release], timetable=clock) if clock else [release]


DAGS = dag_per_study("score", score, when=when, params=PARAMS)
