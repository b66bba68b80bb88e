"""How the report writes numbers and names: one way each, so that two places never disagree."""

from typing import Final

from validation.evidence import Estimate, GroupPerformance, LineVerdict, VerdictName

MINUS: Final = "\N{MINUS SIGN}"
HIDDEN: Final = "<11"
NOTHING: Final = "\N{EN DASH}"
DECIMALS: Final = 3

# metric -> (its name for a reader in a hurry, the name the literature uses, what it says)
METRICS: Final[dict[str, tuple[str, str, str]]] = {
    "auroc": ("Ranking", "AUROC", "chance that a case scores above a non-case; 0.5 is guessing"),
    "auprc": ("Ranking of the rare", "AUPRC", "mean PPV over all thresholds; guessing: prevalence"),
    "brier": ("Squared error", "Brier", "mean squared distance of risk and outcome"),
    "calibration_slope": ("Calibration slope", "", "1 is right; below 1, risks are too extreme"),
    "calibration_intercept": ("Calibration intercept", "", "0 is right; below 0, risks too high"),
    "observed_expected": ("Observed / expected", "O/E", "cases seen per case predicted; 1 is best"),
    "tpr": ("Cases found", "TPR", "share of the cases at or above the threshold"),
    "fpr": ("False alarms", "FPR", "share of the non-cases at or above the threshold"),
    "ppv": ("Cases among selected", "PPV", "share of the selected who are cases"),
    "selection_rate": ("Selected", "selection rate", "share of all at or above the threshold"),
    "net_benefit": ("Net benefit", "", "cases found less false alarms, weighed by the threshold"),
}
POPULATIONS: Final = {
    "holdout": ("holdout", "The released model on test subjects it never saw"),
    "cross_fitted": (
        "cross-fitted",
        "All subjects, each scored by a model of the same recipe that never saw it",
    ),
}
MEASUREMENTS: Final = {
    "rows": "predictions",
    "scores_null_or_outside_0_1": "scores that are no probability",
    "subjects_scored_twice": "subjects scored twice",
    "unknown_code_share": "share of events whose code the release does not know",
    "missing_share": "mean share of inputs missing",
    "score_shift_psi": "shift of the scores (population stability index)",
    "selection_rate_change": "change of the share selected",
}
# Measurements that are counts of rows, not shares or distances.
COUNTED: Final = frozenset({"rows", "scores_null_or_outside_0_1", "subjects_scored_twice"})
VERDICTS: Final[dict[VerdictName, tuple[str, str]]] = {
    "pass": ("\N{CHECK MARK}", "pass"),
    "fail": ("\N{MULTIPLICATION X}", "fail"),
    "cannot_tell": ("?", "cannot tell"),
}


def number(value: float | None, decimals: int = DECIMALS) -> str:
    """A number with a fixed count of decimals and a true minus sign; a dash for none."""
    if value is None:
        return NOTHING
    # A small loss stays a loss: -0.0003 is written with its sign, only zero itself has none.
    return f"{value or 0.0:,.{decimals}f}".replace("-", MINUS)


def count(value: int | None) -> str:
    """A count with thousands separated; ``<11`` where it is hidden."""
    return HIDDEN if value is None else f"{value:,}"


def percent(part: float | None, whole: float | None) -> str:
    """A share with one decimal; a dash where a hidden count leaves none."""
    if part is None or whole is None or whole == 0:
        return NOTHING
    return f"{part / whole:.1%}".replace("%", " %")


def interval(estimate: Estimate) -> str:
    """``0.783 (0.751 to 0.812)``, or ``cannot tell``."""
    if estimate.value is None:
        return "cannot tell"
    within = bounds(estimate)
    return f"{number(estimate.value)} ({within})" if within else number(estimate.value)


def bounds(estimate: Estimate) -> str:
    """``0.751 to 0.812``, or nothing where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{number(estimate.low)} to {number(estimate.high)}"


def reasons(group: GroupPerformance) -> list[str]:
    """Why some metrics of a group do not exist, each reason once."""
    found = (estimate.reason for estimate in group.metrics.values() if estimate.value is None)
    return list(dict.fromkeys(reason for reason in found if reason))


def quantity(value: float | None, metric: str) -> str:
    """A measurement of predictions: counts as counts, all else with decimals."""
    if value is not None and metric in COUNTED and value.is_integer():
        return count(int(value))
    return number(value)


def limit(line: LineVerdict) -> str:
    """At least, at most, or from one to the other, written like what it limits."""
    lower, upper = (quantity(value, line.metric) for value in (line.lower, line.upper))
    if line.lower is not None and line.upper is not None:
        return f"{lower} to {upper}"
    if line.lower is not None:
        return f"at least {lower}"
    return f"at most {upper}" if line.upper is not None else "no limit"


def detail(value: str | int | float | None) -> str:
    """A setting of the model: as short as it was written, however small."""
    if isinstance(value, float):
        return f"{value:g}".replace("-", MINUS)
    return NOTHING if value is None else str(value)


def measurement(name: str) -> str:
    """What a measurement of a generation of predictions measures."""
    return MEASUREMENTS.get(name, spoken(name))


def metric_name(metric: str) -> str:
    """A metric's name for a reader; an unknown one keeps its own."""
    return METRICS[metric][0] if metric in METRICS else spoken(metric)


def metric_short(metric: str) -> str:
    """The name the literature uses, where there is one."""
    return (METRICS[metric][1] or METRICS[metric][0]) if metric in METRICS else spoken(metric)


def metric_words(metric: str) -> str:
    """What a metric says, in one line."""
    return METRICS[metric][2] if metric in METRICS else ""


def population_name(population: str) -> str:
    """``cross_fitted`` -> ``cross-fitted``."""
    return POPULATIONS.get(population, (spoken(population), ""))[0]


def population_words(population: str) -> str:
    """Who was scored by what, in one line."""
    return POPULATIONS.get(population, ("", spoken(population)))[1]


def spoken(name: str) -> str:
    """A name of code as words: ``age_band`` -> ``age band``."""
    return name.replace("_", " ")


def verdict_symbol(verdict: VerdictName) -> str:
    """A sign beside the word, so that colour is never alone in saying it."""
    return VERDICTS[verdict][0]


def verdict_word(verdict: VerdictName) -> str:
    """The verdict in lower-case words."""
    return VERDICTS[verdict][1]


def joined(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
