"""Generated bodies of patients, what a report prints of them, and what an attacker reads there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tests.attack.linear_attacker import RATES, Columns, Place, Reader, Report
from tests.validation.audit_examples import policy
from validation.config import AuditConfig
from validation.disclosure.cube import CENSORED, NEGATIVE, POSITIVE
from validation.disclosure.group_counts import ShownGroups, shown_groups
from validation.tasks import PopulationName

MINIMUM = 11
KINDS = ("subjects", "positives", "negatives", "censored")
DECISIONS = ("found", "missed", "alarms", "cleared", "selected", "unselected")
# What a metric needs enough of, to be there at all.
NEEDED: dict[str, tuple[str, ...]] = {
    "auroc": ("positives", "negatives"),
    "net_benefit": ("positives", "negatives"),
    "tpr": ("positives",),
    "fpr": ("negatives",),
    "ppv": ("positives", "selected"),
    "selection_rate": ("known",),
}


@dataclass(frozen=True)
class Body:
    """Patients of one or two reports: the first `yesterday` rows were there before."""

    config: AuditConfig
    subjects: pl.DataFrame
    populations: tuple[PopulationName, ...]
    yesterday: int | None

    def of(self, report: Report) -> pl.DataFrame:
        joined_later = report == "yesterday" and self.yesterday is not None
        return self.subjects.head(self.yesterday or 0) if joined_later else self.subjects

    @property
    def reports(self) -> tuple[Report, ...]:
        return ("today",) if self.yesterday is None else ("yesterday", "today")

    @property
    def tables(self) -> list[tuple[str, ...]]:
        return [*((name,) for name in self.config.attributes), *self.config.crossings]

    @property
    def level_sets(self) -> list[dict[str, list[str]]]:
        names = [tuple(self.config.attributes)] if self.config.crossings else None
        sets = names or [(name,) for name in self.config.attributes]
        return [
            {name: sorted(self.subjects[name].unique().to_list()) for name in one} for one in sets
        ]

    def places(self, report: Report) -> list[Place]:
        found = []
        for names in self.tables:
            levels = [sorted(self.of(report)[name].unique().to_list()) for name in names]
            for combination in product(*levels):
                named = tuple(zip(names, combination, strict=True))
                found += [Place(report, population, named) for population in self.populations]
        return found


def generated(rng: np.random.Generator) -> Body:
    """From a dozen patients to thousands; one to three attributes, some levels of very few."""
    attributes = ["sex", "age_band", "site"][: int(rng.choice([1, 2, 2, 3]))]
    crossings: list[list[str]] = []
    if len(attributes) > 1 and rng.random() < 0.35:
        attributes = attributes[:2]
        crossings = [attributes]
    least = int(rng.choice([12, 20, 50]))
    size = int(np.exp(rng.uniform(np.log(30), np.log(3000))))
    joined = None
    if rng.random() < 0.15:
        joined = int(rng.choice([1, 3, 8, 15, 60, 300]))
    rows = size + (joined or 0)
    columns: dict[str, object] = {}
    for name in attributes:
        share = rng.dirichlet(np.full(int(rng.choice([2, 2, 3, 4])), rng.choice([0.3, 1.0, 5.0])))
        columns[name] = [f"{name}{k}" for k in rng.choice(len(share), rows, p=share)]
    positive = rng.random(rows) < rng.choice([0.03, 0.1, 0.3])
    censored = rng.random(rows) < rng.choice([0.0, 0.02, 0.3])
    good = rng.choice([0.6, 0.9, 0.98])
    for name in ("selected", "selected_cross_fitted"):
        columns[name] = np.where(rng.random(rows) < good, positive, ~positive)
    frame = pl.DataFrame(columns).with_columns(
        in_holdout=pl.Series(rng.random(rows) < rng.choice([0.2, 0.5])),
        status=pl.Series(np.where(censored, CENSORED, np.where(positive, POSITIVE, NEGATIVE))),
    )
    both = rng.random() < 0.3
    if not both:
        frame = frame.with_columns(in_holdout=True)
    return Body(
        config=policy(
            attributes=attributes,
            crossings=crossings,
            minimum_positives=least,
            gating=[_ANY_LINE],
        ),
        subjects=frame,
        populations=("holdout", "cross_fitted") if both else ("holdout",),
        yesterday=None if joined is None else size,
    )


_ANY_LINE = {
    "line": "no worse",
    "metric": "auroc",
    "on": "holdout",
    "group": "overall",
    "against": "best_challenger",
    "at_least": -0.02,
}


def true_count(frame: pl.DataFrame, place: Place, kind: str) -> int:
    """A count by looking at every row: the attacker's target, and what a report could print."""
    chosen = np.ones(frame.height, dtype=np.bool_)
    for attribute, level in place.levels:
        chosen &= _column(frame, attribute) == level
    if place.population == "holdout":
        chosen &= _column(frame, "in_holdout")
    if place.population == "difference":
        chosen &= ~_column(frame, "in_holdout")
    status = _column(frame, "status")
    positive, negative = status == POSITIVE, status == NEGATIVE
    of_holdout = place.population == "holdout"
    selected = _column(frame, "selected" if of_holdout else "selected_cross_fitted")
    wanted = {
        "subjects": chosen,
        "positives": positive,
        "negatives": negative,
        "censored": status == CENSORED,
        "known": positive | negative,
        "found": positive & selected,
        "missed": positive & ~selected,
        "alarms": negative & selected,
        "cleared": negative & ~selected,
        "selected": (positive | negative) & selected,
        "unselected": (positive | negative) & ~selected,
    }
    return int((chosen & wanted[kind]).sum())


def _column(frame: pl.DataFrame, name: str) -> npt.NDArray[Any]:
    return frame[name].to_numpy()


# ---- the two defenders -------------------------------------------------------------------------


@dataclass(frozen=True)
class Printed:
    """What one report prints of the groups: counts (None = hidden), and withheld rates."""

    counts: Mapping[tuple[Place, str], int | None]
    withheld: Mapping[Place, Sequence[str]]


def defended(body: Body) -> dict[Report, Printed]:
    """Each report as the product prints it; today's knows what yesterday's showed."""
    found: dict[Report, Printed] = {}
    before: list[ShownGroups] = []
    for report in body.reports:
        shown = shown_groups(
            body.of(report),
            body.config,
            body.populations,
            before=[one.memory for one in before],
            scored_by="one model",
        )
        before.append(shown)
        found[report] = _printed(body, report, shown)
    return found


def _printed(body: Body, report: Report, shown: ShownGroups) -> Printed:
    counts: dict[tuple[Place, str], int | None] = {}
    withheld = {}
    totals = [Place(report, population) for population in body.populations]
    for place in [*totals, *body.places(report)]:
        names, levels = zip(*place.levels, strict=True) if place.levels else ((), ())
        key = (place.population, " & ".join(names) or "overall", " & ".join(levels) or "all")
        for kind in ("subjects", "positives", "censored"):
            counts[place, kind] = getattr(shown.counts[key], kind)
        withheld[place] = shown.withheld[key]
    return Printed(counts, withheld)


def naive(body: Body) -> dict[Report, Printed]:
    """The usual rule: whatever is 1 to 10 is hidden, and nothing else."""
    found: dict[Report, Printed] = {}
    for report in body.reports:
        totals = [Place(report, population) for population in body.populations]
        counts: dict[tuple[Place, str], int | None] = {}
        for place in [*totals, *body.places(report)]:
            for kind in ("subjects", "positives", "censored"):
                count = true_count(body.of(report), place, kind)
                counts[place, kind] = None if 0 < count < MINIMUM else count
        found[report] = Printed(counts, {})
    return found


# ---- the attack --------------------------------------------------------------------------------


def reader_of(body: Body, printed: Mapping[Report, Printed], totals_of: Sequence[Report]) -> Reader:
    """Somebody who has read it all, but of some reports the totals alone."""
    reader = Reader(Columns(body.level_sets, body.yesterday is not None))
    for report, page in printed.items():
        only_totals = report in totals_of
        for (place, kind), count in page.counts.items():
            if count is not None and not (only_totals and place.levels):
                reader.read_count(place, kind, count)
        totals = [Place(report, population) for population in body.populations]
        for place, kind in product(totals, ("found", "alarms", "selected")):
            # Of everybody, files state rates exactly.
            reader.read_count(place, kind, true_count(body.of(report), place, kind))
        for place in () if only_totals else body.places(report):
            _read_rates(reader, body, place, page.withheld.get(place, ()))
    return reader


def _read_rates(reader: Reader, body: Body, place: Place, withheld: Sequence[str]) -> None:
    frame, least = body.of(place.report), body.config.least_positives
    count = {kind: true_count(frame, place, kind) for kind in (*KINDS, *DECISIONS, "known")}
    # Whatever is missing looks alike: too few, or withheld. What is there says how many there are.
    shown = [
        metric
        for metric, needed in NEEDED.items()
        if metric not in withheld and all(count[kind] >= least for kind in needed)
    ]
    for kind in {kind for metric in shown for kind in NEEDED[metric]}:
        reader.read_at_least(place, kind, least)
    for metric in set(shown) & set(RATES):
        top, bottom = RATES[metric]
        reader.read_rate(place, metric, round(count[top] / count[bottom], 3))
    if "net_benefit" in shown:
        threshold = body.config.selected_from
        odds = threshold / (1 - threshold)
        value = (count["found"] - odds * count["alarms"]) / count["known"]
        reader.read_net_benefit(place, round(value, 3), threshold)


def derivable(
    body: Body, printed: Mapping[Report, Printed], *, only_first: bool = False
) -> list[tuple[Place, str]]:
    """Cells of 1 to 10 by a patient attribute that the attacker bounds below 11.

    Where the totals, of today and yesterday, do that already (and, of today's cells, what was
    printed yesterday), a cell of which the groups' numbers say more than those.
    """
    reader = reader_of(body, printed, ())
    outsiders = {
        "yesterday": reader_of(body, printed, ("yesterday", "today")),
        "today": reader_of(body, printed, ("today",)),
    }
    leaks = []
    for place, kind, joined in attackable(body):
        row = reader.columns.mask(place, kind).astype(float)
        if joined:
            row = row * reader.columns.joined
        outsider = outsiders[place.report]
        if outsider.can_be(row, MINIMUM, np.inf):
            safe = reader.can_be(row, MINIMUM, np.inf)
        else:
            low, high = outsider.extreme(row, -1), outsider.extreme(row, 1)
            safe = reader.can_be(row, high, np.inf) and reader.can_be(row, -np.inf, low)
        if not safe:
            leaks.append((place, kind))
            if only_first:
                break
    return leaks


def attackable(body: Body) -> list[tuple[Place, str, bool]]:
    """Every count of 1 to 10 by group; with True, of those who joined since yesterday.

    A level that everybody of a report has tells nobody apart: its counts are the totals.
    """
    small = []
    for place, kind, joined in _targets(body):
        frame = body.of(place.report)
        everybody = true_count(frame, replace(place, levels=()), "subjects")
        if not joined and true_count(frame, place, "subjects") == everybody:
            continue
        count = true_count(frame, place, kind)
        if joined:
            count -= true_count(body.of("yesterday"), place, kind)
        if 0 < count < MINIMUM:
            small.append((place, kind, joined))
    return small


def _targets(body: Body) -> list[tuple[Place, str, bool]]:
    found = []
    for report in body.reports:
        places = body.places(report)
        both = len(body.populations) == 2
        others = {Place(report, "difference", place.levels) for place in places} if both else set()
        found += [(place, kind, False) for place in places for kind in (*KINDS, *DECISIONS)]
        found += [(place, kind, False) for place in sorted(others, key=str) for kind in KINDS]
        if report == "today" and body.yesterday is not None:
            found += [(place, kind, True) for place in places for kind in (*KINDS, *DECISIONS)]
            found += [(place, kind, True) for place in sorted(others, key=str) for kind in KINDS]
    return found
