"""What falls on patients of a group: alerts, lost follow-up, tests never made.

Alerts are counted over all who were scored, since an alert needs no label; what needs one is
weighted for censoring, as every metric of the audit.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from validation.config import AuditConfig
from validation.estimates import Estimate
from validation.groups import Group, groups_of
from validation.patient_harms.ratios import Ratio, Sampled, estimate_of, sample_ratios, untold
from validation.patient_harms.records import PatientHarm, PatientHarmName
from validation.populations import Population
from validation.ranking import FloatArray

PER_100 = 100.0
HARM_OF: Mapping[str, PatientHarmName] = {
    "alerts_per_100": "alert_burden",
    "alerts_per_case": "alert_burden",
    "false_alerts_per_100": "alert_burden",
    "censored_per_100": "censoring",
    "tests_per_subject": "measurement",
    "channels_never_measured": "measurement",
}


def single_groups(attributes: pl.DataFrame, config: AuditConfig) -> list[Group]:
    """All levels of the audit's attributes, no crossing."""
    alone = config.model_copy(update={"crossings": ()})
    return groups_of(attributes, alone)


def burdens(population: Population, selected: FloatArray) -> list[Ratio]:
    """Alert burden and censoring; selected [n] is 1 for an alert."""
    y, weight = population.y, population.weight
    everybody, known = np.ones_like(y), weight > 0
    alert, false = selected == 1.0, known & (selected == 1.0) & (y == 0.0)
    found = known & (selected == 1.0) & (y == 1.0)
    return [
        Ratio("alerts_per_100", selected, everybody, PER_100, alert, ~alert, "alerts"),
        Ratio(
            "alerts_per_case",
            weight * selected,
            weight * selected * y,
            1.0,
            found,
            false,
            "cases found",
        ),
        Ratio(
            "false_alerts_per_100",
            weight * selected * (1.0 - y),
            weight,
            PER_100,
            false,
            known & ~false,
            "false alerts",
        ),
        Ratio(
            "censored_per_100",
            (~known).astype(np.float64),
            everybody,
            PER_100,
            ~known,
            known,
            "censored",
        ),
    ]


def measuring(tests: FloatArray | None, never: FloatArray | None) -> list[Ratio]:
    """tests [n]: measurements known at the index time; never [n]: share of channels without any."""
    columns = {"tests_per_subject": tests, "channels_never_measured": never}
    return [
        Ratio(name, np.asarray(values, np.float64), np.ones(len(values)))
        for name, values in columns.items()
        if values is not None
    ]


def findings(
    population: Population, groups: Sequence[Group], ratios: Sequence[Ratio], config: AuditConfig
) -> Iterator[PatientHarm]:
    """Every ratio of every group against the rest, without words or alarm yet."""
    sampled = sample_ratios(
        ratios,
        groups,
        population.clusters,
        draws=config.bootstrap_draws,
        seed=config.bootstrap_seed,
    )
    for each in ratios:
        for reasons, group in _with_reasons(each, groups, config):
            found = sampled[each.name, group.attribute, group.level]
            yield finding(HARM_OF[each.name], each.name, group, found, reasons.get(group.level))


def _with_reasons(
    each: Ratio, groups: Sequence[Group], config: AuditConfig
) -> Iterator[tuple[Mapping[str, str], Group]]:
    for attribute in dict.fromkeys(group.attribute for group in groups):
        levels = [group for group in groups if group.attribute == attribute]
        reasons = untold(each, levels, config.least_positives, config.minimum_cell_subjects)
        for group in levels:
            yield reasons, group


def finding(
    harm: PatientHarmName,
    quantity: str,
    group: Group,
    found: Sampled,
    reason: str | None,
    label: str | None = None,
) -> PatientHarm:
    """A group's value, the rest's, and their difference; all null where there is a reason."""
    nothing = None if reason is None else Estimate(reason=reason)
    apart = found.inside - found.outside
    return PatientHarm.model_validate(
        {
            "harm": harm,
            "quantity": quantity,
            "attribute": group.attribute,
            "level": group.level,
            "label": label,
            "value": nothing or estimate_of(found.inside, found.inside_samples),
            "rest": nothing or estimate_of(found.outside, found.outside_samples),
            "difference": nothing
            or estimate_of(apart, found.inside_samples - found.outside_samples),
            "words": "",
        }
    )
