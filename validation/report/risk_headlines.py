"""What a report of a risk says first: what the threshold does, and which harms were found."""

from collections.abc import Iterator
from typing import Final

from validation.estimates import Estimate
from validation.evidence import Evidence, PopulationEvidence
from validation.report.formatting import Unit, interval, joined, number
from validation.report.names import population_name
from validation.report.patient_harm_words import LOOKED_FOR
from validation.tasks import MetricName

SHARE: Final = Unit(1, 100.0, " %")
# What the threshold does, as a sentence for whoever will call these people.
AT_THRESHOLD: Final[tuple[tuple[MetricName, str], ...]] = (
    ("selection_rate", "{} of all subjects are selected"),
    ("tpr", "{} of the cases are among them"),
    ("ppv", "{} of the selected are cases"),
)


def risk_headlines(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Title and words, most weighty first."""
    found = evidence.population("holdout") or next(iter(evidence.populations), None)
    if found is not None:
        where = population_name(found.population)
        threshold = number(evidence.policy.threshold)
        yield f"At the threshold of {threshold} ({where})", _threshold(found)
    if evidence.patient_harms is not None:
        yield "Harms to patients", _harms(evidence)


def _threshold(found: PopulationEvidence) -> str:
    known = [
        words.format(interval(estimate, SHARE))
        for metric, words in AT_THRESHOLD
        if (estimate := found.overall.metrics.get(metric, Estimate())).value is not None
    ]
    if not known:
        return "what it selects cannot be told."
    return f"{'; '.join(known)}."


def _harms(evidence: Evidence) -> str:
    findings = evidence.patient_harms.findings if evidence.patient_harms else ()
    said: dict[str, list[str]] = {"shown": [], "not": [], "unknown": []}
    for name, (title, _) in LOOKED_FOR.items():
        alarms = [each.alarm for each in findings if each.harm == name]
        state = "shown" if any(alarms) else "not" if False in alarms else "unknown"
        said[state].append(title.lower())
    words = (
        ("shown", "groups are shown to differ in"),
        ("not", "not shown to differ in"),
        ("unknown", "cannot be told of"),
    )
    parts = [f"{start} {joined(said[state])}" for state, start in words if said[state]]
    return f"{'; '.join(parts)}."
