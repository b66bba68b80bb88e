"""What an audit cannot tell, said on its first page."""

from collections.abc import Iterator

from validation.evidence import Evidence, LineVerdict, PopulationEvidence
from validation.report.formatting import count, joined, number, percent
from validation.report.names import metric_short, population_name, spoken
from validation.report.units import Units, units

# More names of groups than these are only counted: the tables name them all.
MOST_NAMED = 4


def cannot_tell(evidence: Evidence) -> list[str]:
    """Sentences, the most weighty first: undecided lines, choice, gaps, silent groups, data."""
    lines = evidence.gate.lines if evidence.gate else ()
    is_forecast = evidence.policy.is_forecast
    return [
        *_undecided(evidence.gate.reported if evidence.gate else ()),
        *_judged_by_those_who_chose(evidence.tuning_trials, lines),
        *_unseen_gaps(lines, units(evidence)),
        *(said for population in evidence.populations for said in _silent_groups(population)),
        *(_unknown_outcomes(evidence) if is_forecast else _censoring(evidence)),
        *evidence.data_limits,
    ]


def _undecided(lines: tuple[LineVerdict, ...]) -> Iterator[str]:
    """Of lines that are only reported: why a gating line is undecided stands above."""
    for line in lines:
        if line.verdict == "cannot_tell":
            yield f"Whether “{line.line}” holds: {line.words}"


def _judged_by_those_who_chose(trials: int | None, lines: tuple[LineVerdict, ...]) -> Iterator[str]:
    """Cross-fitted answers are of everybody, and no trial was measured on the holdout alone."""
    on_all = [f"“{line.line}”" for line in lines if line.on == "cross_fitted"]
    if not trials or not on_all:
        return
    spared = [f"“{line.line}”" for line in lines if line.on == "holdout"]
    yield (
        f"How far {joined(on_all)} {'are' if len(on_all) > 1 else 'is'} flattered by the choice of "
        "the model: judged on cross-fitted answers of everybody, among them the people by whom the "
        f"model section was chosen among {trials_words(trials)}. "
        + (
            f"Not so {joined(spared)}: judged on the holdout, which had no part in any trial."
            if spared
            else "No line was judged on the holdout, which alone had no part in any trial."
        )
    )


def trials_words(trials: int) -> str:
    """How many trials of tunings, comparisons and races there were."""
    return f"{trials:,} {'trial' if trials == 1 else 'trials'}"


def _unseen_gaps(lines: tuple[LineVerdict, ...], written: Units) -> Iterator[str]:
    sizes = [
        f"{metric_short(line.metric)} by {spoken(line.group)} "
        f"{number(line.detectable, written.line(line))}"
        for line in lines
        if line.kind == "gap" and line.detectable is not None
    ]
    if sizes:
        yield (
            "True gaps between groups smaller than what this sample can detect (with 80 % power): "
            f"{', '.join(sizes)}."
        )


def _silent_groups(population: PopulationEvidence) -> Iterator[str]:
    """The groups of a population with a metric that does not exist, attribute by attribute."""
    silent: dict[str, list[str]] = {}
    levels: dict[str, int] = {}
    for group in population.groups:
        levels[group.attribute] = levels.get(group.attribute, 0) + 1
        if any(estimate.value is None for estimate in group.metrics.values()):
            silent.setdefault(group.attribute, []).append(group.level)
    named = [_silent(attribute, found, levels[attribute]) for attribute, found in silent.items()]
    if named:
        yield (
            "Some or all metrics of groups that are too small "
            f"({population_name(population.population)}): {'; '.join(named)}."
        )


def _silent(attribute: str, found: list[str], levels: int) -> str:
    if len(found) == levels:
        return f"all of {spoken(attribute)}"
    if len(found) > MOST_NAMED:
        return f"{len(found)} of {levels} of {spoken(attribute)}"
    return f"{spoken(attribute)} {joined(found)}"


def _censoring(evidence: Evidence) -> Iterator[str]:
    # The largest population speaks for all: the same people, or more of them.
    known = [p for p in evidence.populations if not p.overall.counts.hidden]
    largest = max(known, key=lambda p: p.overall.counts.subjects or 0, default=None)
    if largest is None or not largest.overall.counts.censored:
        return
    counts = largest.overall.counts
    yield (
        f"What became of the {counts.censored:,} of {counts.subjects:,} subjects "
        f"({percent(counts.censored, counts.subjects)}, {population_name(largest.population)}) who "
        "were lost before the outcome could be known. Others stand in for them by weight, which "
        "is right only if the records explain who was lost."
    )


def _unknown_outcomes(evidence: Evidence) -> Iterator[str]:
    largest = max(
        evidence.populations, key=lambda each: each.overall.counts.rows or 0, default=None
    )
    if largest is None or not largest.overall.counts.unknown:
        return
    counts = largest.overall.counts
    rows = (counts.rows or 0) + (counts.unknown or 0)
    yield (
        f"How right the forecasts of {count(counts.unknown)} of {rows:,} rows were "
        f"({percent(counts.unknown, rows)}, {population_name(largest.population)}): a price after "
        "the forecast is missing, or is not there yet. These rows carry no number here."
    )
