"""The section `tuning` of a study that must have one."""

from pipelines.errors import StudyInvalid
from pipelines.study import Study
from pipelines.tuning.config import TuningSection


def tuning_of(spec: Study) -> TuningSection:
    """The study's section.

    Raises:
        StudyInvalid: there is none.
    """
    if spec.tuning is None:
        raise StudyInvalid(
            f"The study {spec.name} says nothing of a tuning.",
            where="the study's section `tuning`",
            remedy="Name the parameters to search: docs/tuning.md shows a section.",
        )
    return spec.tuning
