"""What things are called in a report: metrics, models, populations, measurements, verdicts."""

from collections.abc import Mapping
from typing import Final

from validation.estimates import VerdictName

LOWER: Final = "lower is better"

# metric -> (its name for a reader in a hurry, the name the literature uses, what it says)
METRICS: Final[Mapping[str, tuple[str, str, str]]] = {
    "auroc": ("Ranking", "AUROC", "chance that a case scores above a non-case; 0.5 is guessing"),
    "auprc": ("Ranking of the rare", "AUPRC", "mean PPV over all thresholds; guessing: prevalence"),
    "brier": (
        "Squared error",
        "Brier",
        f"mean squared distance of probability and outcome; {LOWER}",
    ),
    "calibration_slope": ("Calibration slope", "", "1 is right; below 1, risks are too extreme"),
    "calibration_intercept": ("Calibration intercept", "", "0 is right; below 0, risks too high"),
    "observed_expected": ("Observed / expected", "O/E", "cases seen per case predicted; 1 is best"),
    "tpr": ("Cases found", "TPR", "share of the cases at or above the threshold"),
    "fpr": ("False alarms", "FPR", "share of the non-cases at or above the threshold"),
    "ppv": ("Cases among selected", "PPV", "share of the selected who are cases"),
    "selection_rate": ("Selected", "selection rate", "share of all at or above the threshold"),
    "net_benefit": ("Net benefit", "", "cases found less false alarms, weighed by the threshold"),
    "mae": ("Absolute error", "MAE", f"mean distance of forecast and what came; {LOWER}"),
    "qlike": (
        "Volatility loss",
        "QLIKE",
        f"0 is perfect; forecasts too low cost more than those too high; {LOWER}",
    ),
    "pinball": (
        "Quantile loss",
        "pinball",
        f"mean distance from the quantiles, weighed by their levels; {LOWER}",
    ),
    "mean_error": (
        "Mean error",
        "bias",
        "forecast less what came; 0 is right, above 0 is too high",
    ),
    "relative_error": (
        "Forecast / realised",
        "",
        "sum of the forecasts over the sum of what came; 1 is right, below 1 is too low",
    ),
    "rank_ic": (
        "Ranking of the day",
        "rank IC",
        "whether the order of the forecasts of a day was the order of what came; "
        "0 is guessing, 1 perfect",
    ),
    "hit_rate": ("Direction right", "hit rate", "share of rows whose direction was called right"),
    "coverage_90": (
        "Inside the outer quantiles",
        "90 % coverage",
        "share of outcomes between the 5 % and the 95 % quantile; 90 % is right",
    ),
    "coverage_50": (
        "Inside the inner quantiles",
        "50 % coverage",
        "share of outcomes between the 25 % and the 75 % quantile; 50 % is right",
    ),
    "skill": ("Skill", "pinball skill", "share of the reference's quantile loss that is saved"),
    "skill_mae": (
        "Skill of the middle",
        "MAE skill",
        "share of the reference's absolute error saved",
    ),
    "skill_qlike": (
        "Skill in QLIKE",
        "QLIKE skill",
        "share of the reference's volatility loss saved",
    ),
    "skill_brier": ("Skill", "Brier skill", "share of the reference's squared error that is saved"),
    "log_relative_error": (
        "Forecast / realised, logarithm",
        "log ratio",
        "0 is right, below 0 is too low",
    ),
}
# Shown as shares of a hundred in reports of forecasts; a gap between two is in points.
PERCENTS: Final = frozenset(
    {
        "coverage_90",
        "coverage_50",
        "hit_rate",
        "skill",
        "skill_mae",
        "skill_qlike",
        "skill_brier",
    }
)
POPULATIONS: Final[Mapping[str, tuple[str, str]]] = {
    "holdout": ("holdout", "The released model on test subjects it never saw"),
    "cross_fitted": (
        "cross-fitted",
        "All subjects, each scored by a model of the same recipe that never saw it",
    ),
    "walk_forward": (
        "walk-forward",
        "Window after window of time, each forecast by a model of the same recipe that saw only "
        "what was known before it",
    ),
}
FORECAST_HOLDOUT: Final = "The released model on the time after its training, which it never saw"
# Simple models of forecasts, as they stand in a sentence.
MODELS: Final[Mapping[str, str]] = {
    "random_walk": "the random walk",
    "historical": "the historical quantiles",
    "last_5_sessions": "the last 5 sessions",
    "last_22_sessions": "the last 22 sessions",
    "ewma": "EWMA",
    "har": "HAR",
    "garch": "GARCH(1,1)",
    "ridge": "ridge regression",
    "logistic_regression": "logistic regression",
    "hist_gradient_boosting": "gradient boosting",
    "prevalence": "the constant rate of rises",
}
MEASUREMENTS: Final[Mapping[str, str]] = {
    "rows": "predictions",
    "scores_null_or_outside_0_1": "scores that are no probability",
    "scores_null_or_not_above_0": "forecasts that are no volatility (missing, or not above 0)",
    "scores_null_or_quantiles_crossing": "forecasts whose quantiles are missing or out of order",
    "subjects_scored_twice": "subjects scored twice",
    "examples_scored_twice": "instruments forecast twice at one time",
    "unknown_code_share": "share of events whose code the release does not know",
    "missing_share": "mean share of inputs missing",
    "outside_reference_share": "share of scores outside the range of the release's",
    "score_shift_psi": "shift of the scores (population stability index)",
    "selection_rate_change": "change of the share selected",
}
# Measurements that are counts of rows, not shares or distances.
COUNTED: Final = frozenset(
    {
        "rows",
        "scores_null_or_outside_0_1",
        "scores_null_or_not_above_0",
        "scores_null_or_quantiles_crossing",
        "subjects_scored_twice",
        "examples_scored_twice",
    }
)
VERDICTS: Final[Mapping[VerdictName, tuple[str, str]]] = {
    "pass": ("\N{CHECK MARK}", "pass"),
    "fail": ("\N{MULTIPLICATION X}", "fail"),
    "cannot_tell": ("?", "cannot tell"),
}


def spoken(name: str) -> str:
    """A name of code as words: ``age_band`` -> ``age band``."""
    return name.replace("_", " ")


def model_name(name: str) -> str:
    """A challenger of forecasts as it stands in a sentence: ``har`` -> ``HAR``."""
    return MODELS.get(name, spoken(name))


def measurement(name: str) -> str:
    """What a measurement of a generation of predictions measures."""
    return MEASUREMENTS.get(name, spoken(name))


def metric_name(metric: str) -> str:
    """A metric's name for a reader; an unknown one keeps its own."""
    return METRICS[metric][0] if metric in METRICS else spoken(metric)


def metric_short(metric: str) -> str:
    """The name the literature uses, where there is one."""
    return (METRICS[metric][1] or METRICS[metric][0]) if metric in METRICS else spoken(metric)


def metric_full_name(metric: str) -> str:
    """``Absolute error (MAE)``; one name where there is but one."""
    name, short = metric_name(metric), metric_short(metric)
    return name if name == short else f"{name} ({short})"


def metric_words(metric: str) -> str:
    """What a metric says, in one line."""
    return METRICS[metric][2] if metric in METRICS else ""


def population_name(population: str) -> str:
    """``cross_fitted`` -> ``cross-fitted``."""
    return POPULATIONS.get(population, (spoken(population), ""))[0]


def population_words(population: str, is_forecast: bool = False) -> str:
    """Who was scored by what, in one line."""
    if is_forecast and population == "holdout":
        return FORECAST_HOLDOUT
    return POPULATIONS.get(population, ("", spoken(population)))[1]


def verdict_symbol(verdict: VerdictName) -> str:
    """A sign beside the word, so that colour is never alone in saying it."""
    return VERDICTS[verdict][0]


def verdict_word(verdict: VerdictName) -> str:
    """The verdict in lower-case words."""
    return VERDICTS[verdict][1]
