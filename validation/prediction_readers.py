"""The audit of a generation of scores as people read it: no rate that gives few people away."""

from validation.estimates import Estimate
from validation.evidence import GateVerdict, LineVerdict, Measurement, PredictionEvidence
from validation.prediction_gate import NOT_SHOWN
from validation.tasks import OVERALL

DECIMALS = 3


def predictions_for_readers(evidence: PredictionEvidence) -> PredictionEvidence:
    """The same evidence without what is for the auditor's role only.

    A group's change is rounded, or left out where its counts are few; instruments have none.
    """
    withheld = (each for each in evidence.measurements if each.withheld)
    hidden = {(each.name, each.group, each.level) for each in withheld}
    gate = evidence.gate
    return evidence.model_copy(
        update={
            "measurements": tuple(_measurement(each) for each in evidence.measurements),
            "gate": None if gate is None else _gate(gate, hidden),
        }
    )


def _measurement(each: Measurement) -> Measurement:
    if each.withheld:
        return each.model_copy(update={"value": None, "reason": NOT_SHOWN, "withheld": False})
    if each.group == OVERALL or each.value is None:
        return each
    return each.model_copy(update={"value": round(each.value, DECIMALS)})


def _gate(gate: GateVerdict, hidden: set[tuple[str, str, str | None]]) -> GateVerdict:
    return gate.model_copy(update={"lines": tuple(_line(line, hidden) for line in gate.lines)})


def _line(line: LineVerdict, hidden: set[tuple[str, str, str | None]]) -> LineVerdict:
    found = line.estimate.value
    if (line.metric, line.group, line.level) in hidden:
        return line.model_copy(update={"estimate": Estimate(reason=NOT_SHOWN)})
    if line.group == OVERALL or found is None:
        return line
    return line.model_copy(update={"estimate": Estimate(value=round(found, DECIMALS))})
