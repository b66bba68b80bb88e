"""Every number of the first page, derived from evidence.json alone.

``python -m validation.report.page_one EVIDENCE [--previous EVIDENCE]`` prints them. The page's
sentences are made elsewhere: whoever doubts one compares it with what this module finds.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from validation.evidence import Evidence, LineVerdict
from validation.report.change_words import MOST_NAMED, unit_of
from validation.report.comparing import compare_audits, limits_changed
from validation.report.deciding import at_once
from validation.report.figures import Figure, values_of
from validation.report.forecast_figures import forecast_figures
from validation.report.formatting import Unit, count, detail, interval, limit, number, percent
from validation.report.headlines import headlines
from validation.report.limits import MOST_NAMED as MOST_GROUPS_NAMED
from validation.report.limits import trials_words
from validation.report.risk_headlines import AT_THRESHOLD, SHARE
from validation.report.units import Units, units

COMMAND: Final = "python -m validation.report.page_one"


def recompute(raw: dict[str, Any], previous: dict[str, Any] | None = None) -> tuple[Figure, ...]:
    """Every number of page one from the JSON of an audit, and of the audit before it.

    Raises ValueError (of pydantic) on what is no evidence.
    """
    evidence = Evidence.model_validate(raw)
    before = None if previous is None else Evidence.model_validate(previous)
    written = units(evidence)
    found = [
        *_counts(evidence),
        *_policy(evidence),
        *_lines(evidence, written),
        *_changes(before, evidence, written),
        *_said(evidence, written),
        *_silent_groups(evidence),
        *_unknowns(evidence),
        *_trials(evidence),
    ]
    return tuple(dict.fromkeys(found))


# ---- verdict, policy, lines ------------------------------------------------------------------


def _counts(evidence: Evidence) -> Iterator[Figure]:
    lines = evidence.gate.lines if evidence.gate else ()
    if not lines:
        return
    yield Figure("gating lines", "count of gate.lines", (len(lines),), f"{len(lines)} gating lines")
    for verdict, words in (("fail", "not hold"), ("cannot_tell", "cannot be told")):
        found = sum(line.verdict == verdict for line in lines)
        if found:
            path = f"count of gate.lines[verdict={verdict}]"
            yield Figure(f"lines that {words}", path, (found,), str(found))


def _policy(evidence: Evidence) -> Iterator[Figure]:
    policy, order = evidence.policy.approval, evidence.limits_order
    decision = evidence.gate.decision if evidence.gate else "close"
    place = "policy.approval"
    if decision == "ask" and policy.approvers > 1:
        many = policy.approvers
        yield Figure("people who must approve", f"{place}.approvers", (many,), str(many))
    if decision == "ask":
        days = policy.expires_after_days
        yield Figure("days to answer", f"{place}.expires_after_days", (days,), detail(days))
    if decision == "close" and policy.narrow_fail_share is not None:
        share = policy.narrow_fail_share
        path = f"{place}.narrow_fail_share"
        yield Figure("what a narrow fail is", path, (share,), percent(share, 1.0))
    if order is not None and order.audits_before:
        seen = order.audits_before
        path = "limits_order.audits_before"
        yield Figure("audits before the limits", path, (seen,), count(seen))


def _lines(evidence: Evidence, written: Units) -> Iterator[Figure]:
    if evidence.gate is None:
        return
    for name, lines in (("lines", evidence.gate.lines), ("reported", evidence.gate.reported)):
        for index, line in enumerate(lines):
            yield from _line(line, f"gate.{name}[{index}]", written)


def _line(line: LineVerdict, path: str, written: Units) -> Iterator[Figure]:
    unit = written.line(line)
    if line.estimate.value is not None:
        values = values_of(line.estimate)
        yield Figure(line.line, f"{path}.estimate", values, interval(line.estimate, unit))
    if (all_gaps := at_once(line.estimate)) is not None:
        values = (all_gaps.low or 0.0, all_gaps.high or 0.0)
        where = f"{path}.estimate.simultaneous_low, simultaneous_high"
        # Written as the page writes it: bounds alone.
        said = interval(all_gaps, Unit(unit.decimals, unit.factor)).split(" (", 1)[1].rstrip(")")
        yield Figure(f"{line.line}: all gaps at once", where, values, said)
    limits = tuple(each for each in (line.lower, line.upper) if each is not None)
    if limits:
        said = limit(line, written.limit(line))
        yield Figure(f"{line.line}: limit", f"{path}.lower, upper", limits, said)
    if line.detectable is not None:
        where = f"{path}.detectable"
        said = number(line.detectable, unit)
        yield Figure(f"{line.line}: smallest it can detect", where, (line.detectable,), said)
    if line.verdict == "cannot_tell" and line.subjects_needed is not None:
        where, needed = f"{path}.subjects_needed", line.subjects_needed
        yield Figure(f"{line.line}: more that would tell", where, (needed,), count(needed))


# ---- since the last audit --------------------------------------------------------------------


def _changes(before: Evidence | None, now: Evidence, written: Units) -> Iterator[Figure]:
    changes = compare_audits(before, now)
    other = limits_changed(before, now) if before is not None else []
    if len(other) > MOST_NAMED:
        path = "both audits: policy.gating"
        said = f"{len(other)} of the study's lines"
        yield Figure("lines that are not as before", path, (len(other),), said)
    if not changes:
        return
    path = "both audits: gate.lines, populations[].overall.metrics"
    yield Figure("numbers compared", path, (len(changes),), f"{len(changes)} numbers")
    changed = [change for change in changes if change.significant]
    silent = sum(change.significant is None for change in changes)
    if changed:
        said = f"{len(changed)} of {len(changes)} numbers"
        yield Figure("numbers that changed", path, (len(changed),), said)
    if len(changed) > MOST_NAMED:
        more = len(changed) - MOST_NAMED
        yield Figure("more that changed", path, (more,), f"{more} more")
    if silent:
        yield Figure("changes that cannot be told", path, (silent,), f"Of {silent} it")
    for change in changed[:MOST_NAMED]:
        unit = unit_of(change, written)
        what = f"{change.line or change.metric}, {change.on}"
        where = f"both audits: {change.metric} of {change.on}"
        for name, estimate in (("then", change.before), ("now", change.now)):
            if estimate.value is not None:
                said = number(estimate.value, unit)
                yield Figure(f"{what}: {name}", where, (estimate.value,), said)
        said = interval(change.difference, unit)
        yield Figure(f"{what}: difference", where, values_of(change.difference), said)


# ---- sentences -------------------------------------------------------------------------------


def _said(evidence: Evidence, written: Units) -> list[Figure]:
    """Those numbers of the sentences that are said: what has no interval, for one, is not."""
    words = " ".join(f"{said.title}: {said.words}" for said in headlines(evidence))
    found = forecast_figures(evidence, written) if evidence.policy.is_forecast else _risks(evidence)
    return [figure for figure in found if figure.written in words]


def _risks(evidence: Evidence) -> Iterator[Figure]:
    """What the threshold does, in the holdout."""
    threshold = evidence.policy.selected_from
    yield Figure("threshold", "policy.threshold", (threshold,), number(threshold))
    for index, population in enumerate(evidence.populations):
        if population.population != "holdout":
            continue
        for metric, _ in AT_THRESHOLD:
            estimate = population.overall.metrics.get(metric)
            if estimate is not None and estimate.value is not None:
                path = f"populations[{index}].overall.metrics.{metric}"
                what = f"{metric} at the threshold, holdout"
                yield Figure(what, path, values_of(estimate), interval(estimate, SHARE))


def _silent_groups(evidence: Evidence) -> Iterator[Figure]:
    """Where more groups than are named lack a metric: how many of how many."""
    for index, population in enumerate(evidence.populations):
        for attribute in dict.fromkeys(group.attribute for group in population.groups):
            groups = [each for each in population.groups if each.attribute == attribute]
            silent = sum(any(e.value is None for e in each.metrics.values()) for each in groups)
            if not MOST_GROUPS_NAMED < silent < len(groups):
                continue
            path = f"count of populations[{index}].groups[attribute={attribute}]"
            said = f"{silent} of {len(groups)} of"
            yield Figure(
                f"groups by {attribute} that are too small", path, (silent, len(groups)), said
            )


def _unknowns(evidence: Evidence) -> Iterator[Figure]:
    """Of the largest population: outcomes that nobody knows."""
    is_forecast = evidence.policy.is_forecast
    known = [
        (index, each.overall.counts)
        for index, each in enumerate(evidence.populations)
        if is_forecast or not each.overall.counts.hidden
    ]
    size = "rows" if is_forecast else "subjects"
    index, counts = max(known, key=lambda one: getattr(one[1], size) or 0, default=(0, None))
    if counts is None:
        return
    lost = counts.unknown if is_forecast else counts.censored
    whole = (counts.rows or 0) + (counts.unknown or 0) if is_forecast else counts.subjects
    if not lost or not whole:
        return
    path = f"populations[{index}].overall.counts"
    said = f"{lost:,} of {whole:,} {'rows' if is_forecast else 'subjects'}"
    yield Figure("outcomes nobody knows", path, (lost, whole), said)
    yield Figure("share of outcomes nobody knows", path, (lost / whole,), percent(lost, whole))


def _trials(evidence: Evidence) -> Iterator[Figure]:
    """Where lines were judged on people by whom the model was chosen."""
    lines, trials = evidence.gate.lines if evidence.gate else (), evidence.tuning_trials
    if trials and any(line.on == "cross_fitted" for line in lines):
        yield Figure("trials of tunings", "tuning_trials", (trials,), trials_words(trials))


# ---- by hand ---------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Every number of the first page.")
    parser.add_argument("evidence", type=Path, help="evidence.json of audit_model")
    parser.add_argument("--previous", type=Path, help="evidence.json of the audit before it")
    given = parser.parse_args(arguments)
    raw, before = _read(given.evidence), _read(given.previous) if given.previous else None
    for figure in recompute(raw, before):
        print(f"{figure.written:<36} {figure.what}\n{'':<36} {figure.path}")


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    main()
