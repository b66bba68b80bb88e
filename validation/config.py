"""The audit section of a study: what is measured, on whom, and where the limits stand.

Light on purpose: a DAG file and `--help` load it, so it imports nothing but pydantic.
"""

from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

MetricName = Literal[
    "auroc",
    "auprc",
    "brier",
    "calibration_slope",
    "calibration_intercept",
    "observed_expected",
    "tpr",
    "fpr",
    "ppv",
    "selection_rate",
    "net_benefit",
]
METRIC_NAMES: tuple[MetricName, ...] = get_args(MetricName)

PopulationName = Literal["holdout", "cross_fitted"]
LineKind = Literal["value", "gap", "challenger"]

OVERALL = "overall"

# 1.96 + 0.84: the difference told from zero with 5 % two-sided error and 80 % power.
DETECTABLE_IN_STANDARD_ERRORS = 2.8

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class GatingLine(_Section):
    """One line that the gate decides: a metric of a population, and where it must lie.

    `group: overall` judges the metric's value; `group: sex` judges, for every level of sex, the
    level's value minus that of everybody else. With `against: best_challenger` the difference
    "network minus best challenger" is judged, and its limit is how much worse is still tolerated.
    """

    line: str = Field(min_length=1, max_length=120)
    metric: MetricName
    on: PopulationName
    group: str = Field(min_length=1)
    against: Literal["best_challenger"] | None = None
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
    def _limit_suits_its_kind(self) -> Self:
        if self.kind == "challenger":
            if self.metric != "auroc" or self.group != OVERALL:
                raise ValueError(
                    f"line {self.line!r}: a challenger line compares auroc, overall"
                    f" (found {self.metric}, {self.group})"
                )
            if self.at_least is None or self.at_least > 0:
                raise ValueError(
                    f"line {self.line!r}: a challenger line needs at_least: 0 or a tolerated"
                    " loss below 0"
                )
        if self.kind == "gap" and not (self.lower or 0.0) <= 0.0 <= (self.upper or 0.0):
            raise ValueError(
                f"line {self.line!r}: a gap of zero must be allowed; set limits around 0"
            )
        return self


class PredictionLimits(_Section):
    """Limits for one generation of scores before it is published; each one is mandatory.

    max_score_shift_psi: population stability index against the release's scores.
    max_selection_rate_change: absolute change of the share at or above the threshold, overall and
    for every level of every attribute, against the release's own.
    minimum_group_subjects: a level with fewer, then as now, has no selection rate to compare.
    """

    minimum_rows: int = Field(ge=1)
    max_unknown_code_share: Share
    max_missing_share: Share
    max_score_shift_psi: float = Field(gt=0.0, allow_inf_nan=False)
    max_selection_rate_change: Share
    psi_bins: int = Field(default=10, ge=2, le=100)
    minimum_group_subjects: int = Field(default=100, ge=11)


class AuditConfig(_Section):
    """What the audit measures and which lines the gate decides.

    threshold: probability at or above which a subject is selected.
    minimum_cell_subjects: counts below it are neither shown nor derivable (CMS cell policy: 11).
    minimum_positives: with fewer events (or fewer non-events, where a metric needs them) a value
    is "cannot tell"; percentile intervals undercover below about 50.
    """

    threshold: float = Field(gt=0.0, lt=1.0)
    attributes: tuple[str, ...] = Field(min_length=1)
    crossings: tuple[tuple[str, ...], ...] = ()
    bootstrap_draws: int = Field(default=1000, ge=100, le=20_000)
    bootstrap_seed: int = Field(default=0, ge=0)
    minimum_cell_subjects: int = Field(default=11, ge=11)
    minimum_positives: int = Field(default=50, ge=10)
    gating: tuple[GatingLine, ...] = Field(min_length=1)
    predictions: PredictionLimits

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        if len(set(self.attributes)) != len(self.attributes) or OVERALL in self.attributes:
            raise ValueError(f"attributes must differ from each other and from {OVERALL!r}")
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
        names = [line.line for line in self.gating]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"gating lines named twice: {repeated}")
        for line in self.gating:
            if line.group != OVERALL and line.group not in self.attributes:
                raise ValueError(
                    f"line {line.line!r}: group {line.group!r} is neither {OVERALL!r} nor one of"
                    f" the attributes {list(self.attributes)}"
                )
        if not any(line.kind == "challenger" for line in self.gating):
            raise ValueError(
                "no gating line has against: best_challenger; a network must not lose to a"
                " simple model unnoticed"
            )
        return self
