"""The evidence of an audit: every number that the report shows and the gate judges.

It holds no value of a subject. Counts that would disclose a cell of 1 to 10 are null here
already, so whoever renders it cannot leak them. A number that does not exist is null with a
reason; NaN and infinity are refused.
"""

import json
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import Field

from validation.compression.records import CompressionEvidence
from validation.config import AuditConfig
from validation.data_evidence import DataEvidence
from validation.declaration import Declaration
from validation.estimates import Count, Counts, Estimate, Number, Record, VerdictName
from validation.incumbent import IncumbentEvidence
from validation.mitigation.records import MitigationEvidence
from validation.overfitting import OverfittingEvidence
from validation.patient_harms.records import PatientHarms
from validation.tasks import HarmName, LineKind, MetricName, PopulationName

SCHEMA_VERSION: Literal[1] = 1


class GroupPerformance(Record):
    """Metrics of one group. attribute is "overall", "sex" or, for a crossing, "sex & age_band".

    pooled: a metric drawn towards that of all groups of its attribute, the more the less its own
    subjects say; shown beside the value, never judged.
    withheld: metrics from which a count of 1 to 10 follows; here for the gate and the auditor, and
    left out of what other people read.
    """

    attribute: str
    level: str
    counts: Counts
    metrics: dict[MetricName, Estimate]
    pooled: dict[MetricName, Number] = Field(default_factory=dict)
    withheld: tuple[MetricName, ...] = ()


class Gap(Record):
    """A group's metric minus that of all other subjects, on the same bootstrap draws.

    detectable: the smallest true gap that such a sample would tell from zero with 80 % power: half
    the interval that judges it plus .84 standard errors (see validation.sample_size.detectable).
    permutation_share: share of random exchanges of the groups' members (whole clusters) that gave
    a gap at least as large; a diagnostic, never judged.
    """

    attribute: str
    level: str
    metric: MetricName
    estimate: Estimate
    detectable: Number | None = None
    permutation_share: Number | None = None


class Challenger(Record):
    """A simple model on the same subjects. difference is network minus challenger, paired."""

    name: str
    best: bool
    metrics: dict[MetricName, Estimate]
    difference: dict[MetricName, Estimate]


class CurvePoint(Record):
    """A point of a ROC (x FPR, y TPR) or precision-recall (x recall, y precision) curve."""

    x: Number
    y: Number


class CalibrationBin(Record):
    """Mean predicted and observed probability of a score bin of at least minimum_cell_subjects
    subjects, events and known non-events."""

    subjects: Count
    predicted: Number
    observed: Estimate


class Curves(Record):
    roc: tuple[CurvePoint, ...] = ()
    precision_recall: tuple[CurvePoint, ...] = ()
    calibration: tuple[CalibrationBin, ...] = ()


class SeriesPoint(Record):
    """Forecasts of one calendar year (UTC) of index times: skill over the reference, and loss;
    with few blocks of time a value alone, and the reason why it has no interval."""

    year: int
    rows: Count
    skill: Estimate
    loss: Estimate


class CoveragePoint(Record):
    """Share of labels at or below the quantile forecast of a level; ideally the level itself."""

    level: Number
    observed: Estimate


class PopulationEvidence(Record):
    """holdout: the released model on the test split; cross_fitted: every subject, each scored by
    a model that never saw it; walk_forward: every row of a window's test part, forecast by a
    model that saw only what was known before. groups holds attribute levels first, then
    crossings. series and coverage are of forecasts, break_even_cost of direction."""

    population: PopulationName
    overall: GroupPerformance
    groups: tuple[GroupPerformance, ...]
    gaps: tuple[Gap, ...]
    challengers: tuple[Challenger, ...]
    curves: Curves = Curves()
    series: tuple[SeriesPoint, ...] = ()
    coverage: tuple[CoveragePoint, ...] = ()
    break_even_cost: Estimate | None = None


HarmMetric = Literal["log_relative_error", "mean_error", "coverage_90"] | MetricName


class HarmFinding(Record):
    """One gap in which a harm would show: a group minus the rest, or all rows minus the listed.

    The interval of `estimate` holds for all findings of an audit at once (level .95), so that
    `alarm` (it excludes 0) is false of a clean audit as a whole in 95 of 100. null: cannot tell.
    """

    harm: HarmName
    on: PopulationName
    attribute: str
    level: str | None = None
    metric: HarmMetric | None = None
    estimate: Estimate
    alarm: bool | None = None
    words: str


# ---- model and lineage -----------------------------------------------------------------------


class TrainingCost(Record):
    """What training all networks of a model took, killed attempts included.

    file: of the train_model artefact, from which the numbers follow. processes: that trained a
    network together; on GPUs each had one. peak_memory_bytes: the most that one of them held.
    """

    file: str
    networks: int
    device: str
    processes: int
    seconds: Number
    gpu_seconds: Number
    peak_memory_bytes: int


class ModelSummary(Record):
    """epochs: one number per seed, of the epoch kept. clip_rate: share of steps clipped.

    training: null where the model was trained before such things were written down.
    """

    architecture: str
    seeds: tuple[int, ...] = ()
    epochs: tuple[int, ...] = ()
    clip_rate: Number | None = None
    training: TrainingCost | None = None
    details: dict[str, str | int | Number | None] = Field(default_factory=dict)


class LineageEntry(Record):
    """An artefact that stands behind this evidence; sha256 is one over all its files."""

    stage: str
    key: str
    sha256: str


class PredictionSource(Record):
    """The predictions file from which every metric here can be recomputed."""

    key: str
    sha256: str


# ---- verdicts --------------------------------------------------------------------------------


class LineVerdict(Record):
    """A line, judged. For a gap, level names the group that decided the verdict.

    subjects_needed: where it cannot tell, about how many more subjects of that level (of a value
    or challenger line: of the whole population) would tell; of forecasts, blocks of time.
    """

    line: str
    kind: LineKind | Literal["predictions"]
    metric: str
    on: str
    group: str
    level: str | None = None
    lower: Number | None = None
    upper: Number | None = None
    estimate: Estimate = Estimate()
    detectable: Number | None = None
    subjects_needed: Count | None = None
    verdict: VerdictName
    words: str


# What follows from a verdict by the study's own policy: the model is released, people are asked,
# or the gate stays closed.
DecisionName = Literal["release", "ask", "close"]


class GateVerdict(Record):
    """pass only if every line passes; reasons say in words what closed the gate.

    reported: lines that were judged and decide nothing. decision: what follows by the study's
    section `approval`; an audit that could not be judged at all is always "close".
    """

    verdict: VerdictName
    lines: tuple[LineVerdict, ...] = ()
    reported: tuple[LineVerdict, ...] = ()
    reasons: tuple[str, ...] = ()
    decision: DecisionName = "close"

    @property
    def is_open(self) -> bool:
        return self.verdict == "pass"


# ---- what was known when ----------------------------------------------------------------------


class LimitsOrder(Record):
    """Were the limits there before the test split was looked at? From an append-only record.

    audits_before: audits of the same question's test split that were noted before this policy was
    first registered; 0 means that the limits were fixed before anybody saw a result.
    """

    policy_sha256: str
    audits_before: Count
    registered_before_predictions: bool


# ---- the two files ---------------------------------------------------------------------------


class Evidence(Record):
    """evidence.json of audit_model. gate is null until judged.

    tuning_trials: how many trials of tunings, comparisons and races the study's ledger holds;
    null: it is not believed, or nobody said.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    study: str
    intended_use: str
    policy: AuditConfig
    populations: tuple[PopulationEvidence, ...]
    data: DataEvidence = DataEvidence()
    data_limits: tuple[str, ...] = ()
    model: ModelSummary | None = None
    lineage: tuple[LineageEntry, ...] = ()
    prediction_source: PredictionSource | None = None
    gate: GateVerdict | None = None
    # Of forecasts. False: the universe leaves out what was delisted since; null: nobody said.
    is_point_in_time: bool | None = None
    harms: tuple[HarmFinding, ...] = ()
    overfitting: OverfittingEvidence | None = None
    tuning_trials: Count | None = None
    limits_order: LimitsOrder | None = None
    patient_harms: PatientHarms | None = None
    mitigation: MitigationEvidence | None = None
    compression: CompressionEvidence | None = None
    incumbent: IncumbentEvidence | None = None
    declared: Declaration | None = None

    def population(self, name: PopulationName) -> PopulationEvidence | None:
        return next((p for p in self.populations if p.population == name), None)


class Measurement(Record):
    """One number measured on a generation of scores; null with a reason if it does not exist.

    withheld: a count of 1 to 10 follows from it; here for the gate, and not for other people.
    """

    name: str
    group: str = "overall"
    level: str | None = None
    value: Number | None = None
    reason: str | None = None
    withheld: bool = False


class PredictionEvidence(Record):
    """evidence.json of audit_predictions. gate is null until judged.

    not_judged: groups too small, in the release and now, to compare anything.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    study: str
    policy: AuditConfig
    rows: Count
    measurements: tuple[Measurement, ...]
    not_judged: tuple[str, ...] = ()
    lineage: tuple[LineageEntry, ...] = ()
    gate: GateVerdict | None = None


# ---- files -----------------------------------------------------------------------------------


def dump_evidence(evidence: Evidence | PredictionEvidence, path: Path) -> None:
    """Write evidence as JSON, the same bytes for the same evidence.

    Raises ValueError if a NaN or infinity got past the models.
    """
    text = json.dumps(
        evidence.model_dump(mode="json"), allow_nan=False, ensure_ascii=False, indent=1
    )
    path.write_text(text + "\n", encoding="utf-8")


def load_evidence(path: Path) -> Evidence:
    """Read evidence.json of audit_model. Raises ValueError on anything but that."""
    return Evidence.model_validate_json(_checked_text(path), strict=True)


def load_prediction_evidence(path: Path) -> PredictionEvidence:
    """Read evidence.json of audit_predictions. Raises ValueError on anything but that."""
    return PredictionEvidence.model_validate_json(_checked_text(path), strict=True)


def _checked_text(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    try:
        json.loads(text, parse_constant=_refuse, object_pairs_hook=_without_repeats)
    except RecursionError:
        raise ValueError("evidence is nested too deeply") from None
    return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"evidence holds {constant}; a missing number is null")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # A parser keeps the last of repeated keys: a second "verdict" could hide the first.
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("evidence names a key twice")
    return record
