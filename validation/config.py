"""The audit section of a study: what is measured, on whom, and where the limits stand.

Light on purpose: a DAG file and `--help` load it, so it imports nothing but pydantic.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from validation.tasks import (
    BEST_CHALLENGER,
    CROSSED,
    INCUMBENT,
    LOWER_IS_BETTER,
    MOST_TOLERATED,
    OVERALL,
    LineKind,
    MetricName,
    PopulationName,
    Task,
    losses_of,
    metric_names,
)

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Margin = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]


def uncompared_losses(gating: Iterable["GatingLine"], task: Task) -> list[MetricName]:
    """The losses of a forecast that no line compares with the best challenger in walk_forward.

    Each is owed, or a network could pick the loss that it wins.
    """
    compared = {
        line.metric
        for line in gating
        if (line.against, line.on) == (BEST_CHALLENGER, "walk_forward")
    }
    return [loss for loss in losses_of(task) if loss not in compared]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class GatingLine(_Section):
    """One line that the gate decides: a metric of a population, and where it must lie.

    `group: overall` judges the metric's value; `group: sex` judges, for every level of sex, the
    level's value minus that of everybody else. With `against: best_challenger` (of a forecast, also
    a challenger's name) the difference "network minus challenger" is judged, and its limit is how
    much worse is still tolerated. `against: incumbent` compares likewise with the release that
    stands, and holds where none does.

    A value and a difference are judged by their own 95 % interval. A gap is judged by the interval
    that holds for all gaps of gating and reported lines at once: of patients by the largest |t| of
    the bootstrap, of forecasts by Bonferroni (validation.simultaneous).
    """

    line: str = Field(min_length=1, max_length=120)
    metric: MetricName
    on: PopulationName
    group: str = Field(min_length=1)
    against: str | None = Field(default=None, min_length=1)
    at_least: Finite | None = None
    at_most: Finite | None = None
    between: tuple[Finite, Finite] | None = None

    @property
    def kind(self) -> LineKind:
        if self.against is not None:
            return "challenger"
        return "value" if self.group == OVERALL else "gap"

    @property
    def lower(self) -> float | None:
        return self.between[0] if self.between is not None else self.at_least

    @property
    def upper(self) -> float | None:
        return self.between[1] if self.between is not None else self.at_most

    @model_validator(mode="after")
    def _has_exactly_one_limit(self) -> Self:
        given = [self.at_least is not None, self.at_most is not None, self.between is not None]
        if sum(given) != 1:
            raise ValueError(
                f"line {self.line!r}: give exactly one limit of at_least, at_most, between"
                f" (found {sum(given)})"
            )
        if self.between is not None and self.between[0] >= self.between[1]:
            raise ValueError(f"line {self.line!r}: between needs a lower limit below the upper one")
        return self

    @model_validator(mode="after")
    def _a_gap_of_zero_is_allowed(self) -> Self:
        if self.kind == "gap" and not (self.lower or 0.0) <= 0.0 <= (self.upper or 0.0):
            raise ValueError(
                f"line {self.line!r}: a gap of zero must be allowed; set limits around 0"
            )
        return self


class PredictionLimits(_Section):
    """Limits for one generation of scores before it is published; mandatory where its task has it.

    max_score_shift_psi: population stability index against the release's scores; of forecasts
    only where a study asks for it, because a session's few rows cannot tell a shift by it.
    max_outside_share: forecasts; share of rows whose score is out of nearly all of the release's.
    max_selection_rate_change: absolute change of the share at or above the threshold, overall and
    for every level of every attribute, against the release's own; only where a task has a
    threshold.
    minimum_group_subjects: a level with fewer, then as now, has no selection rate to compare.
    """

    minimum_rows: int = Field(ge=1)
    max_unknown_code_share: Share
    max_missing_share: Share
    max_score_shift_psi: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    max_outside_share: Share | None = None
    max_selection_rate_change: Share | None = None
    psi_bins: int = Field(default=10, ge=2, le=100)
    minimum_group_subjects: int = Field(default=100, ge=11)


class ApprovalConfig(_Section):
    """What the gate does with its verdict, and who may decide where it does not.

    when_passed: "release" lets a pass release by itself; "ask" puts even that before people.
    when_cannot_tell: "close" keeps the gate closed; "ask" puts it before people.
    narrow_fail_share: a failed line is narrow if it is a gap line and every gap that fails
    oversteps its limit by no more than this share of the limit; a verdict that failed on narrow
    lines alone is put before people. A value or a difference to another model that fails closes:
    its limit is no distance from where there is no fault. None: a fail closes, whoever asks.
    approvers: so many different people must approve; one rejection rejects.
    trainer_may_approve: whether the person who started the training counts as one of them.
    expires_after_days: an unanswered request, and an approval that released nothing, end then.
    """

    when_passed: Literal["release", "ask"] = "release"
    when_cannot_tell: Literal["close", "ask"] = "close"
    narrow_fail_share: Annotated[float, Field(gt=0.0, le=0.25)] | None = None
    approvers: int = Field(default=1, ge=1, le=5)
    trainer_may_approve: bool = False
    expires_after_days: float = Field(default=14.0, gt=0.0, le=366.0)


def _positives_of_the_task(given: dict[str, Any]) -> int | None:
    return 50 if given.get("task") == "risk" else None


def _blocks_of_the_task(given: dict[str, Any]) -> int | None:
    return None if given.get("task") == "risk" else 20


class AuditConfig(_Section):
    """What the audit measures and which lines the gate decides.

    threshold: probability at or above which a subject is selected; risk and direction.
    minimum_cell_subjects: counts below it are neither shown nor derivable (CMS cell policy: 11);
    they protect people, so they hide nothing of an instrument.
    minimum_positives: risk; with fewer events (or fewer non-events, where a metric needs them) a
    value is "cannot tell". Never below 12: its absence must bound no count below 11.
    reference: forecasts; the challenger against which skill is measured.
    minimum_blocks: forecasts; with fewer blocks of time a group's value is "cannot tell".
    reported: lines that are judged like gating ones, by the same intervals, and decide nothing.
    minimum_deflated_sharpe, maximum_pbo: forecasts, where a study asks for them; what the trial
    ledger must say of a choice among many. A number that cannot be told closes the gate.
    compressed_gap_margins: metric -> by how much a group's gap in it may be larger in a smaller
    form of the model, at most; a metric that gap lines judge and that has none releases no smaller
    form.
    """

    task: Task = "risk"
    threshold: float | None = Field(default=None, gt=0.0, lt=1.0)
    reference: str | None = Field(default=None, min_length=1)
    attributes: tuple[str, ...] = Field(min_length=1)
    crossings: tuple[tuple[str, ...], ...] = ()
    bootstrap_draws: int = Field(default=1000, ge=100, le=20_000)
    bootstrap_seed: int = Field(default=0, ge=0)
    minimum_cell_subjects: int = Field(default=11, ge=11)
    minimum_positives: int | None = Field(default_factory=_positives_of_the_task, ge=12)
    minimum_blocks: int | None = Field(default_factory=_blocks_of_the_task, ge=5)
    minimum_deflated_sharpe: Share | None = None
    maximum_pbo: Share | None = None
    compressed_gap_margins: dict[MetricName, Margin] = Field(default_factory=dict)
    gating: tuple[GatingLine, ...] = Field(min_length=1)
    reported: tuple[GatingLine, ...] = ()
    approval: ApprovalConfig = ApprovalConfig()
    predictions: PredictionLimits

    @property
    def is_forecast(self) -> bool:
        return self.task != "risk"

    @property
    def has_threshold(self) -> bool:
        return self.task in _WITH_THRESHOLD

    @property
    def selected_from(self) -> float:
        """The threshold. Raises ValueError where the task has none."""
        if self.threshold is None:
            raise ValueError(f"task {self.task} has no threshold")
        return self.threshold

    @property
    def least_positives(self) -> int:
        """minimum_positives. Raises ValueError where the task has no positives."""
        if self.minimum_positives is None:
            raise ValueError(f"task {self.task} counts no positives")
        return self.minimum_positives

    @property
    def least_blocks(self) -> int:
        """minimum_blocks. Raises ValueError where the task has no blocks of time."""
        if self.minimum_blocks is None:
            raise ValueError(f"task {self.task} has no blocks of time")
        return self.minimum_blocks

    @model_validator(mode="after")
    def _has_what_its_task_needs(self) -> Self:
        risk, forecast, threshold = not self.is_forecast, self.is_forecast, self.has_threshold
        limits = self.predictions
        change, outside = limits.max_selection_rate_change, limits.max_outside_share
        if risk and limits.max_score_shift_psi is None:
            raise ValueError("predictions.max_score_shift_psi: task risk needs it")
        needed = (
            ("threshold", self.threshold, threshold),
            ("predictions.max_selection_rate_change", change, threshold),
            ("predictions.max_outside_share", outside, forecast),
            ("minimum_positives", self.minimum_positives, risk),
            ("reference", self.reference, forecast),
            ("minimum_blocks", self.minimum_blocks, forecast),
        )
        for name, value, is_needed in needed:
            if is_needed and value is None:
                raise ValueError(f"{name}: task {self.task} needs it")
            if not is_needed and value is not None:
                raise ValueError(f"{name}: task {self.task} has none; leave it out")
        return self

    @model_validator(mode="after")
    def _only_forecasts_are_chosen_among_trials(self) -> Self:
        for name in ("minimum_deflated_sharpe", "maximum_pbo"):
            if not self.is_forecast and getattr(self, name) is not None:
                raise ValueError(f"{name}: task {self.task} has none; leave it out")
        return self

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        if len(set(self.attributes)) != len(self.attributes) or OVERALL in self.attributes:
            raise ValueError(f"attributes must differ from each other and from {OVERALL!r}")
        if any(CROSSED in name for name in self.attributes):
            raise ValueError(f"attributes: {CROSSED!r} in a name would make it a crossing's")
        for crossing in self.crossings:
            unknown = [name for name in crossing if name not in self.attributes]
            if unknown or len(set(crossing)) < 2 or len(set(crossing)) != len(crossing):
                raise ValueError(
                    f"crossing {list(crossing)}: give two or more different attributes of"
                    f" {list(self.attributes)}"
                )
        return self

    @model_validator(mode="after")
    def _lines_are_decidable(self) -> Self:
        names = [line.line for line in (*self.gating, *self.reported)]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"lines named twice: {repeated}")
        for line in (*self.gating, *self.reported):
            if line.group != OVERALL and line.group not in self.attributes:
                raise ValueError(
                    f"line {line.line!r}: group {line.group!r} is neither {OVERALL!r} nor one of"
                    f" the attributes {list(self.attributes)}"
                )
            _check_line(line, self.task)
        if not any(line.against == BEST_CHALLENGER for line in self.gating):
            raise ValueError(
                "no gating line has against: best_challenger; a network must not lose to a"
                " simple model unnoticed"
            )
        if self.is_forecast and (left_out := uncompared_losses(self.gating, self.task)):
            raise ValueError(
                f"no gating line on walk_forward has against: {BEST_CHALLENGER} in {left_out}; a"
                " network must not pick the loss that it wins"
            )
        return self


# Of a risk; of a forecast, its losses.
COMPARED_WITH_INCUMBENT: tuple[MetricName, ...] = ("auroc", "brier", "net_benefit")
_WITH_THRESHOLD: frozenset[Task] = frozenset({"risk", "direction"})


def _check_line(line: GatingLine, task: Task) -> None:
    if line.metric not in metric_names(task):
        raise ValueError(
            f"line {line.line!r}: {line.metric} is no metric of task {task};"
            f" those are {list(metric_names(task))}"
        )
    if line.on == ("walk_forward" if task == "risk" else "cross_fitted"):
        raise ValueError(f"line {line.line!r}: task {task} has no population {line.on}")
    if line.kind == "challenger":
        _check_challenger_line(line, task)


def _check_challenger_line(line: GatingLine, task: Task) -> None:
    compared = losses_of(task)
    if task == "risk":
        compared = COMPARED_WITH_INCUMBENT if line.against == INCUMBENT else ("auroc",)
    if line.metric not in compared or line.group != OVERALL:
        raise ValueError(
            f"line {line.line!r}: a challenger line compares {' or '.join(compared)}, overall"
            f" (found {line.metric}, {line.group})"
        )
    if task == "risk" and line.against not in (BEST_CHALLENGER, INCUMBENT):
        raise ValueError(f"line {line.line!r}: against must be {BEST_CHALLENGER} or {INCUMBENT}")
    if line.metric in LOWER_IS_BETTER and (line.at_most is None or line.at_most < 0):
        raise ValueError(
            f"line {line.line!r}: a challenger line on a loss needs at_most: 0 or a tolerated"
            " loss above 0"
        )
    if line.metric not in LOWER_IS_BETTER and (line.at_least is None or line.at_least > 0):
        raise ValueError(
            f"line {line.line!r}: a challenger line needs at_least: 0 or a tolerated loss below 0"
        )
    most = MOST_TOLERATED.get((task, line.metric), 0.0)
    against = {BEST_CHALLENGER: "the best simple model", INCUMBENT: "the release that stands"}
    if task != "risk" and line.against in against and (line.at_most or 0.0) > most:
        raise ValueError(
            f"line {line.line!r}: at most {most:g} of {line.metric} may be tolerated against"
            f" {against[line.against]}; a wider limit could not close"
        )
