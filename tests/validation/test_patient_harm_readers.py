from tests.validation.test_mitigation import made, table_of, unfair
from validation.evidence import Evidence, PopulationEvidence
from validation.patient_harm_readers import NOT_SHOWN, harms_for_readers
from validation.patient_harms import patient_harms


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


def test_where_nothing_is_withheld_nothing_changes() -> None:
    told = evidence()
    assert harms_for_readers(told) == told
