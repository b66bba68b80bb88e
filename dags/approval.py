"""``approve__<study>``: people are asked, and what they approve is released."""

from datetime import timedelta

from airflow.sdk import chain

from dags.asking import AskPeople
from dags.assets import release_of, request_of
from dags.stages import PATIENCE, stage
from dags.studies import Schedule, dag_per_study
from pipelines.study import Study

# A newer request is asked beside one that still waits.
REQUESTS_AT_ONCE = 8


@stage(hours=0.5)
def record_answer(study: str, asked_dag: str, asked_run: str) -> str:
    """Read from the API's record who answered what and write it down, bound to the bytes."""
    from dags.recording import record_answer as write

    return write(study, asked_dag, asked_run)


@stage(hours=0.5)
def release_model(study: str, audit: str) -> str:
    """Release what enough people approved; skipped if they rejected it or more must answer."""
    from pipelines.approvals.requests import newest_request
    from pipelines.stages.release_model import release_model as run

    newest = newest_request(study, audit)
    return "" if newest is not None and newest.state == "rejected" else run(study, audit)


@stage(hours=0.5)
def ask_again(study: str) -> str:
    """Ask once more while the request waits: more people must answer, or an answer was refused."""
    from pipelines.approvals.requests import newest_request

    newest = newest_request(study)
    if newest is None or newest.state != "waiting":
        return ""
    return f"approvals/{newest.request.request_id}"


def approve(spec: Study) -> None:
    """The graph. An answer is read from the API's record, so the question hands nothing on."""
    study = spec.name
    question = AskPeople(
        task_id="ask_people",
        study=study,
        doc_md="Show the verdict, its reasons and hashes, and wait for one person's answer.",
        response_timeout=timedelta(days=spec.audit.approval.expires_after_days),
        execution_timeout=timedelta(hours=0.5),
        **PATIENCE,
    )
    chain(
        question,
        audit := record_answer(study, "{{ dag_run.dag_id }}", "{{ run_id }}"),
        [
            release_model.override(outlets=[release_of(study)])(study, audit),
            ask_again.override(outlets=[request_of(study)])(study),
        ],
    )


def when(study: Study) -> Schedule:
    """At each request."""
    return [request_of(study.name)]


DAGS = dag_per_study("approve", approve, when=when, runs_at_once=REQUESTS_AT_ONCE)
