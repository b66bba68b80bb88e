"""What a row of forecasts adds to each metric: every metric here is a ratio of two sums over rows.

So the rows of a block of time are summed once, and a bootstrap draw only adds up blocks. Arrays
are [n] rows; a forecast is [n, 1] (a volatility or a probability) or [n, 5] (quantiles at LEVELS).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from validation.config import AuditConfig
from validation.ranking import FloatArray, ratio
from validation.tasks import Task

LEVELS = (0.05, 0.25, 0.50, 0.75, 0.95)
QUANTILES = ("q05", "q25", "q50", "q75", "q95")
_MEDIAN = LEVELS.index(0.50)
RANKED, RANK_CORRELATION = "ranked_days", "rank_correlation"


@dataclass(frozen=True)
class Ratio:
    """Sum of one column over the sum of another; as it is, its logarithm, or 1 minus it."""

    numerator: str
    denominator: str = "one"
    form: Literal["plain", "skill", "log"] = "plain"

    def __call__(self, sums: Mapping[str, FloatArray]) -> FloatArray:
        """[draws] of sums {column: [draws]}; NaN where a draw cannot give it."""
        value = ratio(sums[self.numerator], sums[self.denominator])
        if self.form == "skill":
            return 1.0 - value
        if self.form == "log":
            out: FloatArray = np.full_like(value, np.nan)
            np.log(value, out=out, where=value > 0)
            return out
        return value


_RANK_IC = Ratio(RANK_CORRELATION, RANKED)
# By task and metric; log_relative_error is of the search for harms alone.
RATIOS: Mapping[Task, Mapping[str, Ratio]] = {
    "volatility": {
        "mae": Ratio("absolute"),
        "qlike": Ratio("qlike"),
        "mean_error": Ratio("error"),
        "relative_error": Ratio("centre", "label"),
        "rank_ic": _RANK_IC,
        "skill_mae": Ratio("absolute", "reference_absolute", "skill"),
        "skill_qlike": Ratio("qlike", "reference_qlike", "skill"),
        "log_relative_error": Ratio("centre", "label", "log"),
    },
    "quantiles": {
        "pinball": Ratio("pinball"),
        "mae": Ratio("absolute"),
        "mean_error": Ratio("error"),
        "coverage_90": Ratio("inside_90"),
        "coverage_50": Ratio("inside_50"),
        "hit_rate": Ratio("hit"),
        "rank_ic": _RANK_IC,
        "skill": Ratio("pinball", "reference_pinball", "skill"),
        "skill_mae": Ratio("absolute", "reference_absolute", "skill"),
    },
    "direction": {
        "brier": Ratio("square"),
        "hit_rate": Ratio("hit"),
        "mean_error": Ratio("error"),
        "rank_ic": _RANK_IC,
        "skill_brier": Ratio("square", "reference_square", "skill"),
    },
}


def centre(task: Task, forecast: FloatArray) -> FloatArray:
    """The one number of a forecast [n, k]: a volatility, a probability, or the median."""
    values: FloatArray = forecast[:, _MEDIAN if task == "quantiles" else 0]
    return values


def contributions(
    config: AuditConfig, label: FloatArray, forecast: FloatArray, reference: FloatArray
) -> dict[str, FloatArray]:
    """Columns [n] that the task's ratios add up. reference: the forecast skill is measured by."""
    own = losses(config.task, label, forecast)
    other = losses(config.task, label, reference)
    middle = centre(config.task, forecast)
    shared = {"one": np.ones_like(label), "label": label, "centre": middle, "error": middle - label}
    columns = shared | own | {f"reference_{name}": loss for name, loss in other.items()}
    if config.task == "quantiles":
        columns |= _of_quantiles(label, forecast)
    if config.task == "direction":
        columns["hit"] = 1.0 * ((middle >= config.selected_from) == (label == 1.0))
    return columns


def losses(task: Task, label: FloatArray, forecast: FloatArray) -> dict[str, FloatArray]:
    """The losses of a task by row, [n] each."""
    middle = centre(task, forecast)
    if task == "direction":
        return {"square": (middle - label) ** 2}
    absolute = {"absolute": np.abs(middle - label)}
    if task == "quantiles":
        return absolute | {"pinball": pinball(label, forecast)}
    return absolute | {"qlike": qlike(label, middle)}


def qlike(label: FloatArray, forecast: FloatArray) -> FloatArray:
    """y^2/f^2 - ln(y^2/f^2) - 1 of volatilities: 0 where they agree (Patton, J Econom 2011)."""
    share = (label / forecast) ** 2
    loss: FloatArray = share - np.log(share) - 1.0
    return loss


def pinball(label: FloatArray, forecast: FloatArray) -> FloatArray:
    """Mean over LEVELS of (y - q)(level - [y < q]) (Koenker and Bassett, Econometrica 1978)."""
    above = label[:, None] - forecast
    loss: FloatArray = (above * (np.array(LEVELS) - (above < 0))).mean(axis=1)
    return loss


def _of_quantiles(label: FloatArray, forecast: FloatArray) -> dict[str, FloatArray]:
    low, lower, median, upper, high = forecast.T
    # A median of exactly 0 says nothing of the sign; it counts half.
    hit = np.where(median == 0.0, 0.5, (median > 0) == (label > 0))
    below = {
        f"below_{name}": 1.0 * (label <= q) for name, q in zip(QUANTILES, forecast.T, strict=True)
    }
    return below | {
        "hit": hit.astype(np.float64),
        "inside_90": 1.0 * ((low <= label) & (label <= high)),
        "inside_50": 1.0 * ((lower <= label) & (label <= upper)),
    }
