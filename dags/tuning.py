"""``tune__<study>``: the trials of a study's section `tuning`, as many at a time as the pool has.

One task is one trial. It changes no study: the chosen model section is an artefact to read.
"""

from airflow.sdk import chain

from dags.records import (
    build_sequences,
    check_events,
    ingested,
    merge_sequences,
    over_shards,
)
from dags.stages import stage
from dags.studies import dag_per_study
from pipelines.study import Study


@stage(hours=0.5)
def plan_trials(study: str, sequences: str) -> str:
    """Fix what is searched, by which folds, before the first trial."""
    from pipelines.stages.plan_trials import plan_trials as run

    return run(study, sequences)


@stage(hours=24, queue="gpu", pool="gpu")
def run_trial(study: str, plan: str, number: int) -> str:
    """Run one trial by cross-validation; a killed attempt is taken up where it stopped."""
    from pipelines.stages.run_trial import run_trial as run

    return run(study, plan, number)


@stage(hours=0.5)
def choose_model(study: str, plan: str, trials: list[str]) -> str:
    """Name the best trial that keeps the constraints, or say that none does."""
    from pipelines.stages.choose_model import choose_model as run

    return run(study, plan, list(trials))


def tune(spec: Study) -> None:
    """The graph: how many trials there are stands in the study."""
    study, numbers = spec.name, spec.tuning.numbers() if spec.tuning else []
    # Airflow shows a function's docstring of a plain task only.
    trial = run_trial.override(doc_md=run_trial.function.__doc__)
    chain(
        events := ingested(spec),
        check_events(study, events),
        parts := over_shards(build_sequences, spec, events=events),
        sequences := merge_sequences(study, events, parts),
        plan := plan_trials(study, sequences),
        trials := trial.partial(study=study, plan=plan).expand(number=numbers),
        choose_model(study, plan, trials),
    )


DAGS = dag_per_study(
    "tune", tune, when=lambda study: None, wanted=lambda study: study.tuning is not None
)
