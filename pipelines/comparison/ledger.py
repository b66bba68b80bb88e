"""Every model section that is compared is a trial: noted before it is trained."""

from collections.abc import Mapping
from datetime import UTC, datetime

from models.config import ModelConfig
from pipelines.study import Study
from pipelines.trials import TuningTrial, record_trial
from validation.comparison import primary_metric


def note_model(
    spec: Study, plan: str, sequences: str, number: int, name: str, section: ModelConfig
) -> None:
    """Add one section to the study's ledger, once for each plan.

    Args:
        plan: key of what it is tried for.
        number: its place there, from 1.

    Raises:
        ArtefactCorrupt: the ledger is broken.
    """
    record_trial(
        spec.name,
        TuningTrial(
            trial_id=f"{plan} {name}",
            plan_key=plan,
            number=number,
            sequences_key=sequences,
            config=section.model_dump(mode="json"),
            metric=primary_metric(spec.audit),
            recorded_at=datetime.now(UTC),
        ),
    )


def note_models(
    spec: Study, plan: str, sequences: str, sections: Mapping[str, ModelConfig]
) -> None:
    """Add all sections of a comparison; as ``note_model``. Their numbers are those of their names.

    The plan does not know in which order they were given, so the numbers must not either.
    """
    for number, name in enumerate(sorted(sections), start=1):
        note_model(spec, plan, sequences, number, name, sections[name])
