"""Patients with six rows each, alike within a patient, whose true metrics are known.

A patient is a case or not; the rows' scores are normal with a mean that depends on that alone, a
part that all rows of the patient share and a part of their own. Given the label the scores are
distributed alike in all groups ("fair"), while prevalences differ. A group's cases may be scored
lower, so that its TPR at the threshold falls short by a known gap.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from scipy import integrate, stats

from validation.effective import Effective, kish
from validation.groups import Census
from validation.intervals import draw_counts
from validation.measuring import Measured
from validation.populations import Population
from validation.ranking import FloatArray, IntArray
from validation.tasks import METRIC_NAMES, MetricName

ROWS = 6
# Share of a score's variance that a patient's rows have in common.
ALIKE = 0.9
# Distance of the two means in standard deviations: an AUROC of .856.
APART = 1.5
CALIBRATED_AT = 0.2


@dataclass(frozen=True)
class Groups:
    """positives: patients with the outcome, on average, per group; prevalence and TPR of each."""

    positives: int
    prevalences: tuple[float, ...]
    tprs: tuple[float, ...]
    fpr: float = 0.2

    @property
    def patients(self) -> IntArray:
        """[groups]"""
        return np.round(self.positives / np.array(self.prevalences)).astype(np.intp)


@dataclass(frozen=True)
class Drawn:
    """group [patients], y [patients], hits [patients]: rows at or above the threshold.

    score [patients, ROWS]: probabilities; NaN-free, and the threshold is `threshold`.
    """

    group: IntArray
    y: FloatArray
    hits: FloatArray
    score: FloatArray
    columns: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        # Rows of cases, those selected, rows of the others, those selected.
        case, other = self.y, 1.0 - self.y
        columns = [ROWS * case, self.hits * case, ROWS * other, self.hits * other]
        object.__setattr__(self, "columns", np.column_stack(columns))


def logit_of(latent: FloatArray) -> FloatArray:
    """The logit of P(case | latent score) at a prevalence of CALIBRATED_AT."""
    prior = np.log(CALIBRATED_AT / (1.0 - CALIBRATED_AT))
    value: FloatArray = prior + APART * (latent - 0.5 * APART)
    return value


def threshold(groups: Groups) -> float:
    """The probability at or above which a share `fpr` of the others' rows lies."""
    cut = logit_of(np.array(stats.norm.isf(groups.fpr)))
    return float(1.0 / (1.0 + np.exp(-cut)))


def draw(groups: Groups, rng: np.random.Generator) -> Drawn:
    """One sample of all groups' patients, in the order of the groups."""
    group = np.repeat(np.arange(len(groups.patients)), groups.patients)
    y = (rng.random(len(group)) < np.array(groups.prevalences)[group]).astype(np.float64)
    cut = stats.norm.isf(groups.fpr)
    # Where a group's cases have their mean, for its TPR.
    mean = cut + stats.norm.ppf(np.array(groups.tprs))
    shared = np.sqrt(ALIKE) * rng.standard_normal((len(group), 1))
    own = np.sqrt(1.0 - ALIKE) * rng.standard_normal((len(group), ROWS))
    latent = (y * mean[group])[:, None] + shared + own
    score = 1.0 / (1.0 + np.exp(-logit_of(latent)))
    return Drawn(group, y, (latent >= cut).sum(axis=1).astype(np.float64), score)


def population_of(drawn: Drawn) -> Population:
    """The drawn rows as the audit takes them; the attribute `group` names the level."""
    n = drawn.score.size
    return Population(
        name="holdout",
        y=np.repeat(drawn.y, ROWS),
        weight=np.ones(n),
        clusters=np.repeat(np.arange(len(drawn.y)), ROWS),
        score=drawn.score.ravel(),
        challengers={},
        attributes=pl.DataFrame({"group": np.repeat(drawn.group, ROWS).astype(str)}),
        in_holdout=np.ones(n, dtype=np.bool_),
    )


def measured_rates(drawn: Drawn, *, draws: int, seed: int) -> list[tuple[Measured, Measured]]:
    """TPR and FPR of each group and of the rest, with the shipped draws.

    Sums of patients are drawn instead of rows: the same numbers as `measure_parts`, in a hundredth
    of the time (asserted in the tests). Other metrics are NaN.
    """
    starts = np.flatnonzero(np.diff(drawn.group, prepend=-1))
    blocks = draw_counts(np.arange(len(drawn.y)), draws=draws, seed=seed)
    inside = np.concatenate([_sums(counts, drawn, starts) for counts in blocks])
    point = _sums(np.ones((1, len(drawn.y))), drawn, starts)
    members = [drawn.group == k for k in range(len(starts))]
    return [
        (
            _measured(point[:, k], inside[:, k], drawn, member),
            _measured(
                point.sum(axis=1) - point[:, k], inside.sum(axis=1) - inside[:, k], drawn, ~member
            ),
        )
        for k, member in enumerate(members)
    ]


def _sums(counts: FloatArray, drawn: Drawn, starts: IntArray) -> FloatArray:
    """[draws, groups, columns]"""
    ends = [*starts[1:], len(drawn.y)]
    parts = [counts[:, a:b] @ drawn.columns[a:b] for a, b in zip(starts, ends, strict=True)]
    return np.stack(parts, axis=1)


def _measured(
    point: FloatArray,
    sums: FloatArray,
    drawn: Drawn,
    member: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> Measured:
    y, hits = drawn.y[member], drawn.hits[member]
    cases, others = kish(y), kish(1.0 - y)
    sizes: dict[MetricName, Effective] = {
        "tpr": Effective(cases, ROWS * cases),
        "fpr": Effective(others, ROWS * others),
    }
    census = Census(ROWS * len(y), len(y), int(y.sum()), int((1 - y).sum()), int((hits > 0).sum()))
    return Measured(census, sizes, _rates(point)[0], _rates(sums))


def _rates(sums: FloatArray) -> FloatArray:
    values = np.full((len(sums), len(METRIC_NAMES)), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        values[:, METRIC_NAMES.index("tpr")] = sums[:, 1] / sums[:, 0]
        values[:, METRIC_NAMES.index("fpr")] = sums[:, 3] / sums[:, 2]
    return values


def true_values(prevalence: float) -> dict[MetricName, float]:
    """AUROC, calibration slope and O:E of scores whose cases lie APART, at a prevalence.

    Normal scores of equal variance rank by Phi(APART / sqrt 2) (Hanley and McNeil, 1982); another
    prevalence moves the logit's intercept and leaves its slope at 1.
    """
    cases, others = _mean_probability(APART), _mean_probability(0.0)
    expected = prevalence * cases + (1.0 - prevalence) * others
    return {
        "auroc": float(stats.norm.cdf(APART / np.sqrt(2.0))),
        "calibration_slope": 1.0,
        "observed_expected": prevalence / expected,
    }


def _mean_probability(mean: float) -> float:
    def weighed(x: float) -> float:
        probability = 1.0 / (1.0 + np.exp(-logit_of(np.array(x))))
        return float(probability * stats.norm.pdf(x, mean))

    return float(integrate.quad(weighed, mean - 9.0, mean + 9.0)[0])
