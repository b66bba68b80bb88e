"""``train__<study>``: from the study's source to a released model."""

from airflow.sdk import chain

from dags.assets import release_of, request_of
from dags.records import (
    build_sequences,
    check_events,
    ingested,
    merge_sequences,
    over_shards,
)
from dags.stages import stage
from dags.studies import at, dag_per_study
from pipelines.study import Study

# Who pressed the button; of a run that the clock or an asset started, which of the two.
STARTED_BY = "{{ dag_run.triggering_user_name or dag_run.run_type }}"


@stage(hours=24, queue="gpu", pool="gpu")
def race_models(study: str, sequences: str) -> str:
    """Of a study of `model: auto`: race models within its time budget, and say which to train."""
    from pipelines.stages.race_models import race_models as run

    return run(study, sequences)


@stage(hours=24, queue="gpu", pool="gpu")
def train_model(study: str, sequences: str, started_by: str, choice: str | None = None) -> str:
    """Train the network and its challengers; a killed attempt is taken up where it stopped."""
    from pipelines.approvals.people import starter, starter_account
    from pipelines.approvals.requests import note_trainer
    from pipelines.stages.train_model import train_model as run

    model = run(study, sequences, choice) if choice else run(study, sequences)
    note_trainer(study, model, starter(started_by), starter_account(started_by))
    return model


@stage(hours=2)
def predict_holdout(study: str, sequences: str, model: str) -> str:
    """Score every example, each also by a model that never saw it where the study asks so."""
    from pipelines.stages.predict_holdout import predict_holdout as run

    return run(study, sequences, model)


@stage(hours=2)
def audit_model(
    study: str, events: str, checks: str, sequences: str, model: str, predictions: str
) -> str:
    """Measure the model, write evidence and report, judge. A failed audit does not fail here."""
    from pipelines.stages.audit_model import audit_model as run

    return run(study, events, checks, sequences, model, predictions)


@stage(hours=0.5)
def request_approval(study: str, audit: str, started_by: str) -> str:
    """Put the audit before people if its verdict is theirs to decide; skipped if it is not."""
    from pipelines.stages.request_approval import request_approval as run

    return run(study, audit, started_by)


@stage(hours=0.5, trigger_rule="none_failed")
def release_model(study: str, audit: str) -> str:
    """Release the model if its audit passed; skipped while people are asked. Else it fails."""
    from pipelines.stages.release_model import release_model as run

    return run(study, audit)


def train(spec: Study) -> None:
    """The graph. A check's key is no input of what follows it, so the chain states the order."""
    study, somebody = spec.name, STARTED_BY
    events = ingested(spec)
    checks = check_events(study, events)
    parts = over_shards(build_sequences, spec, events=events)
    sequences = merge_sequences(study, events, parts)
    # A study that names its model has nothing to race: the task is not there.
    raced = [race_models(study, sequences)] if spec.auto else []
    chain(
        events,
        checks,
        parts,
        sequences,
        *raced,
        model := train_model(study, sequences, somebody, *raced),
        predictions := predict_holdout(study, sequences, model),
        audit := audit_model(study, events, checks, sequences, model, predictions),
        request_approval.override(outlets=[request_of(study)])(study, audit, somebody),
        release_model.override(outlets=[release_of(study)])(study, audit),
    )


DAGS = dag_per_study(
    "train", train, when=lambda study: at(study.schedule.train) if study.schedule.train else None
)
