"""Why a gate is closed, in one plain sentence a line."""

from collections.abc import Iterator

from validation.evidence import Evidence, LineVerdict, PredictionEvidence
from validation.report.formatting import Unit, interval, limit, quantity
from validation.report.names import measurement, metric_full_name, metric_short, model_name, spoken
from validation.report.skill_words import LOSSES, side_of_zero, skill_claim
from validation.report.units import Units, units
from validation.report.verdicts import group_about


def why_closed(evidence: Evidence) -> list[str]:
    """The gate's reasons; of forecasts each line that does not hold in a sentence of its own."""
    if evidence.gate is None:
        return []
    if not evidence.policy.is_forecast:
        return list(evidence.gate.reasons)
    return list(_sentences(evidence, evidence.gate.lines, evidence.gate.reasons))


def _sentences(
    evidence: Evidence, lines: tuple[LineVerdict, ...], reasons: tuple[str, ...]
) -> Iterator[str]:
    known, written = _by_reason(lines), units(evidence)
    for reason in reasons:
        line = known.get(reason)
        yield reason if line is None else f"{line.line}: {_said(line, evidence, written)}"


def _by_reason(lines: tuple[LineVerdict, ...]) -> dict[str, LineVerdict]:
    # The gate writes "line: words"; by that its reasons are known again.
    return {f"{line.line}: {line.words}": line for line in lines if line.verdict != "pass"}


def why_withheld(evidence: PredictionEvidence) -> list[str]:
    """Why a generation of predictions is not published; as :func:`why_closed`."""
    if evidence.gate is None:
        return []
    if not evidence.policy.is_forecast:
        return list(evidence.gate.reasons)
    known = _by_reason(evidence.gate.lines)
    return [
        reason if (line := known.get(reason)) is None else _measured(line)
        for reason in evidence.gate.reasons
    ]


def _measured(line: LineVerdict) -> str:
    group = group_about(line)
    name = measurement(line.metric) if group == "all" else f"{measurement(line.metric)}, {group}"
    if line.estimate.value is None:
        return f"{name}: this cannot be told, {line.estimate.reason or 'it was not measured'}."
    return f"{name}: {quantity(line.estimate.value, line.metric)}, asked for is {limit(line)}."


def _said(line: LineVerdict, evidence: Evidence, written: Units) -> str:
    unit, limits = written.line(line), written.limit(line)
    if line.estimate.value is None or line.estimate.low is None:
        return f"this cannot be told, {line.estimate.reason or line.words}."
    if line.kind == "challenger":
        return _challenger(line, unit, limits)
    if line.kind == "gap":
        return _gap(line, unit, limits)
    if line.metric in LOSSES:
        claim = skill_claim(evidence, line.metric, side_of_zero(line.estimate) or 0)
        found = f"skill {interval(line.estimate, unit)}, asked for is {limit(line, limits)}"
        return f"{claim[:1].lower()}{claim[1:]}: {found}."
    return _value(line, unit, limits)


def _challenger(line: LineVerdict, unit: Unit, limits: Unit) -> str:
    model = model_name(line.level or "the best simple model")
    difference = (
        f"{metric_short(line.metric)} of the network minus that of {model} is "
        f"{interval(line.estimate, unit)}"
    )
    tolerated = f"{limit(line, limits)} is tolerated"
    if line.estimate.low is not None and line.estimate.low > 0.0:
        return f"the network is worse than {model}: {difference}; {tolerated}."
    return f"it is not shown that the network is no worse than {model}: {difference}; {tolerated}."


def _gap(line: LineVerdict, unit: Unit, limits: Unit) -> str:
    group = f"{spoken(line.group)} {line.level or ''}".strip()
    gap = f"its {metric_short(line.metric)} less that of all others is"
    found = f"{gap} {interval(line.estimate, unit)}, asked for is {limit(line, limits)}"
    if line.verdict == "fail":
        return f"{group} differs too much from the rest: {found}."
    return f"whether {group} is like the rest cannot be told: {found}."


def _value(line: LineVerdict, unit: Unit, limits: Unit) -> str:
    found = metric_full_name(line.metric)
    asked = f"is {interval(line.estimate, unit)}, asked for is {limit(line, limits)}"
    if line.verdict == "fail":
        return f"{found} {asked}: all of the interval lies outside."
    return f"{found} {asked}: only a part of the interval lies inside."
