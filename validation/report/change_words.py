"""What changed since the last audit, in words for the first page and rows for its own table."""

from collections.abc import Sequence
from dataclasses import dataclass

from validation.estimates import VerdictName
from validation.evidence import Evidence
from validation.report.comparing import Change, compare_audits, limits_changed
from validation.report.formatting import Unit, interval, number
from validation.report.names import metric_short, population_name, spoken, verdict_word
from validation.report.units import Units, units

MOST_NAMED = 3
NO_AUDIT = "There is no earlier audit to compare this one with."


@dataclass(frozen=True)
class Comparison:
    """sentences: for the first page. changes: every number that was compared."""

    sentences: tuple[str, ...]
    changes: tuple[Change, ...]


def comparison(before: Evidence | None, now: Evidence) -> Comparison:
    """Of an audit before this one, or of None with the release that stands alone."""
    changes = compare_audits(before, now)
    if before is None and not changes:
        return Comparison((NO_AUDIT,), ())
    said = [*_verdicts(before, now), _numbers(changes, units(now)), *_limits(before, now)]
    return Comparison(tuple(said), changes)


def change_about(change: Change) -> str:
    """Which number, on whom."""
    words = f"{metric_short(change.metric)}, {population_name(change.on)}"
    if change.kind == "challenger":
        return f"{words}: network minus simple model"
    if change.kind == "gap":
        return f"{words}: {spoken(change.group)} {change.level or ''}, less the rest".strip()
    return words


def unit_of(change: Change, written: Units) -> Unit:
    """As the gating line or the metric is written."""
    return written.gap(change.metric) if change.kind == "gap" else written.value(change.metric)


def changed_words(change: Change) -> str:
    """Whether chance alone explains it."""
    if change.significant is None:
        return "cannot tell"
    return "changed" if change.significant else "no more than chance"


def _verdicts(before: Evidence | None, now: Evidence) -> list[str]:
    if before is None:
        return ["There is no earlier audit; the release that stands is compared on these subjects."]
    if before.gate is None or now.gate is None:
        return ["The last audit was never judged."]
    then = verdict_word(before.gate.verdict)
    turned = [
        f"“{line.line}” was {verdict_word(earlier)} and is {verdict_word(line.verdict)}"
        for line in now.gate.lines
        if (earlier := _verdict_of(before, line.line)) and earlier != line.verdict
    ]
    if not turned:
        return [f"The verdict of the last audit was {then}; no line's verdict differs from then."]
    return [f"The verdict of the last audit was {then}. {'; '.join(turned)}."]


def _verdict_of(evidence: Evidence, name: str) -> VerdictName | None:
    lines = evidence.gate.lines if evidence.gate else ()
    return next((line.verdict for line in lines if line.line == name), None)


def _numbers(changes: Sequence[Change], written: Units) -> str:
    if not changes:
        return "No number of the two audits can be compared."
    changed = [change for change in changes if change.significant]
    silent = sum(change.significant is None for change in changes)
    also = f" Of {silent} it cannot be told." if silent else ""
    if not changed:
        return f"Not one of {len(changes)} numbers has changed by more than chance explains.{also}"
    named = "; ".join(_one(change, written) for change in changed[:MOST_NAMED])
    more = f"; and {len(changed) - MOST_NAMED} more" if len(changed) > MOST_NAMED else ""
    return (
        f"{len(changed)} of {len(changes)} numbers changed by more than chance explains: "
        f"{named}{more}.{also}"
    )


def _one(change: Change, written: Units) -> str:
    unit = unit_of(change, written)
    return (
        f"{change_about(change)}: {number(change.before.value, unit)}, now "
        f"{number(change.now.value, unit)}, difference {interval(change.difference, unit)}"
        f"{' (paired)' if change.paired else ''}"
    )


def _limits(before: Evidence | None, now: Evidence) -> list[str]:
    names = limits_changed(before, now) if before is not None else []
    if not names:
        return []
    if len(names) > MOST_NAMED:
        return [
            f"{len(names)} of the study's lines are new, gone or have another limit since then."
        ]
    quoted = "; ".join(f"“{name}”" for name in names)
    return [f"New, gone or with another limit since then: {quoted}."]
