from functools import cache

import pytest

from tests.validation.test_mitigation import made, table_of, unfair
from validation.disclosure.view import for_readers
from validation.evidence import Evidence, PopulationEvidence
from validation.patient_harms.harms import patient_harms
from validation.patient_harms.readers import NOT_SHOWN, harms_for_readers
from validation.patient_harms.records import PatientHarm


@cache
def evidence() -> Evidence:
    frame = unfair(4000)
    told = made(frame, table_of(frame))
    found = patient_harms(frame, told.populations, told.policy)
    return told.model_copy(update={"patient_harms": found})


def withholding(told: Evidence, *metrics: str) -> Evidence:
    """The same, but that these metrics of men are for the auditor alone."""

    def population(one: PopulationEvidence) -> PopulationEvidence:
        groups = (
            group.model_copy(update={"withheld": metrics}) if group.level == "male" else group
            for group in one.groups
        )
        return one.model_copy(update={"groups": tuple(groups)})

    return told.model_copy(update={"populations": tuple(map(population, told.populations))})


def test_what_the_tables_withhold_stands_nowhere_else() -> None:
    told = harms_for_readers(withholding(evidence(), "tpr", "observed_expected"))
    assert told.patient_harms is not None
    assert told.mitigation is not None
    gaps = [g for g in told.patient_harms.unweighted if (g.metric, g.level) == ("tpr", "male")]
    assert [(g.declared, g.otherwise, g.moved) for g in gaps] == [(NOT_SHOWN, NOT_SHOWN, None)]
    [finding] = [
        e
        for e in told.patient_harms.findings
        if (e.quantity, e.level) == ("observed_expected", "male")
    ]
    assert (finding.value, finding.alarm) == (NOT_SHOWN, None)
    assert not any(char.isdigit() for char in finding.words)
    hidden = [
        e
        for one in told.mitigation.populations
        for e in one.measured
        if (e.metric, e.level) == ("tpr", "male")
    ]
    assert len(hidden) == 4
    assert {(e.before, e.after, e.change) for e in hidden} == {(NOT_SHOWN,) * 3}


def finding_of(told: Evidence, quantity: str, level: str) -> PatientHarm:
    assert told.patient_harms is not None
    findings = told.patient_harms.findings
    return next(e for e in findings if (e.quantity, e.level) == (quantity, level))


@pytest.mark.parametrize(
    ("withheld", "hides_count", "quantity", "is_hidden"),
    [
        ((), True, "alerts_per_100", True),
        ((), True, "censored_per_100", True),
        ((), True, "false_alerts_per_100", True),
        (("selection_rate",), False, "alerts_per_100", True),
        (("fpr",), False, "false_alerts_per_100", True),
        (("ppv",), False, "alerts_per_case", True),
        (("fpr",), False, "alerts_per_100", False),
        ((), False, "censored_per_100", False),
    ],
)
def test_numbers_per_100_are_hidden_with_the_counts_that_they_give(
    withheld: tuple[str, ...], hides_count: bool, quantity: str, is_hidden: bool
) -> None:
    told = withholding(evidence(), *withheld)
    if hides_count:
        told = without_censored(told)
    before = finding_of(told, quantity, "male")
    assert before.value.value is not None
    for read in (harms_for_readers(told), for_readers(told)):
        found = finding_of(read, quantity, "male")
        assert (found.value == NOT_SHOWN) == is_hidden
        assert (found.rest == NOT_SHOWN) == is_hidden
        assert (found.words != before.words) == is_hidden
        assert finding_of(read, quantity, "female").value.value is not None


def without_censored(told: Evidence) -> Evidence:
    """The same, but that how many men were censored is hidden."""

    def population(one: PopulationEvidence) -> PopulationEvidence:
        groups = (
            group.model_copy(update={"counts": group.counts.model_copy(update={"censored": None})})
            if group.level == "male"
            else group
            for group in one.groups
        )
        return one.model_copy(update={"groups": tuple(groups)})

    return told.model_copy(update={"populations": tuple(map(population, told.populations))})


def test_where_nothing_is_withheld_nothing_changes() -> None:
    told = evidence()
    assert harms_for_readers(told) == told
