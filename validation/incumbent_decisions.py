"""The model that stands, compared as both models decide.

A score is compared as it is; what a threshold decides, by the threshold that each model was
audited for: one for all, or each group's own.
"""

from collections.abc import Mapping

import polars as pl

from validation.config import AuditConfig
from validation.estimates import Estimate
from validation.groups import UnauditableTable
from validation.incumbent import IncumbentEvidence
from validation.mitigation.mitigated import AT_THRESHOLD, decided_scores
from validation.non_inferiority import compared_with_incumbent
from validation.ranking import FloatArray
from validation.tasks import MetricName, PopulationName

_Differences = Mapping[PopulationName, Mapping[MetricName, Estimate]]
UNKNOWN_DECISIONS = "by which threshold the model that stands decides on each subject is not known"


def compared_as_decided(
    predictions: pl.DataFrame,
    incumbent: pl.DataFrame,
    policy: AuditConfig,
    *,
    own: FloatArray,
    theirs: FloatArray | None,
) -> IncumbentEvidence:
    """As compared_with_incumbent, of people: metrics at a threshold are of the decisions made.

    own, theirs: the threshold of each row of predictions and of incumbent; None: not known, and
    then a difference in the decisions is null with a reason.
    """
    found = compared_with_incumbent(predictions, incumbent, policy)
    if not found.differences:
        return found
    if theirs is None:
        return _without_decisions(found, UNKNOWN_DECISIONS)
    study = policy.selected_from
    if (own == study).all() and (theirs == study).all():
        return found
    try:
        moved = decided_scores(predictions, own, policy), decided_scores(incumbent, theirs, policy)
    except UnauditableTable as error:
        return _without_decisions(found, f"the two models' decisions cannot be compared: {error}")
    decided = compared_with_incumbent(*moved, policy)
    if not decided.differences:
        return _without_decisions(found, str(decided.reason))
    return _with(
        found,
        {
            population: {name: known for name, known in metrics.items() if name in AT_THRESHOLD}
            for population, metrics in decided.differences.items()
        },
    )


def _without_decisions(found: IncumbentEvidence, reason: str) -> IncumbentEvidence:
    nothing = dict.fromkeys(AT_THRESHOLD, Estimate(reason=reason))
    return _with(found, dict.fromkeys(found.differences, nothing))


def _with(found: IncumbentEvidence, decided: _Differences) -> IncumbentEvidence:
    merged = {name: {**known, **decided.get(name, {})} for name, known in found.differences.items()}
    return found.model_copy(update={"differences": merged})
