"""What an audit of patients' risks says of harms beyond unequal error, as the evidence holds it.

No count of subjects stands here; a value that would give a small one away is null with a reason.
"""

from typing import Literal

from validation.estimates import Estimate, Number, Record
from validation.tasks import MetricName, PopulationName

PatientHarmName = Literal[
    "calibration", "alert_burden", "exclusion", "censoring", "measurement", "label_choice"
]
QuantityName = Literal[
    "observed_expected",
    "calibration_slope",
    "alerts_per_100",
    "alerts_per_case",
    "false_alerts_per_100",
    "excluded_per_100",
    "censored_per_100",
    "tests_per_subject",
    "channels_never_measured",
    "cases_per_declared_case",
]
# Compared with 1, in place of everybody else.
CALIBRATION: tuple[Literal["observed_expected", "calibration_slope"], ...] = (
    "observed_expected",
    "calibration_slope",
)


class PatientHarm(Record):
    """One quantity of one group, and how far it is from everybody else's (calibration: from 1).

    difference: group minus rest, or minus 1; its low to high is the 95 % interval for itself,
    simultaneous_low to simultaneous_high that for all findings of the audit at once. alarm: the
    latter excludes 0, so that of an audit without harm fewer than 5 in 100 raise one; null: cannot
    tell.   label: of label_choice, the title of the other label.
    """

    harm: PatientHarmName
    quantity: QuantityName
    attribute: str
    level: str
    label: str | None = None
    value: Estimate
    rest: Estimate = Estimate()
    difference: Estimate
    alarm: bool | None = None
    words: str


class PairedGap(Record):
    """A gap of a line's metric twice: as the audit holds it, and measured in another way."""

    metric: MetricName
    attribute: str
    level: str
    declared: Estimate
    otherwise: Estimate
    moved: Number | None = None


class OtherLabel(Record):
    """The same scores judged against another definition of the outcome."""

    title: str
    auroc: Estimate
    observed_expected: Estimate
    gaps: tuple[PairedGap, ...] = ()


class PatientHarms(Record):
    """unweighted: the gaps of the lines without the weights for censoring. unseen: what could not
    be looked for, and why."""

    on: PopulationName
    findings: tuple[PatientHarm, ...] = ()
    unweighted: tuple[PairedGap, ...] = ()
    declared_auroc: Estimate = Estimate()
    declared_observed_expected: Estimate = Estimate()
    other_labels: tuple[OtherLabel, ...] = ()
    unseen: tuple[str, ...] = ()
