"""The clustered bootstrap against Fairlearn's, and the intervals that Fairlearn does not have.

    python -m benchmarks.audit_speed

1. 200 draws, 100,000 rows of 16,667 patients, 40 groups, 6 metrics: CPU seconds of the shipped
   measure_parts against those of MetricFrame with n_boot=200, which are measured on 10 draws and
   scaled (a frame without bootstrap is taken off before and added after). Bound: 1/300.
2. Point values of both, overall and by group. Bound: 1e-12.
3. AUROC and calibration (slope, intercept, O:E) intervals of the same rows with the default number
   of draws, wall seconds on this machine's cores. Bound: 30 s on 2.

Both run in one thread: threads of a matrix product that wait for a busy core burn CPU seconds.
Fairlearn draws rows, the shipped code whole patients, so the two intervals differ by design.
Ends with exit code 1 where a bound is broken.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import fairlearn.metrics as fair
import numpy as np
import polars as pl
from sklearn.metrics import precision_score
from threadpoolctl import threadpool_limits

from validation.config import AuditConfig
from validation.measuring import Measured, measure_parts, part_of
from validation.populations import Population, populations_of
from validation.ranking import FloatArray
from validation.tasks import METRIC_NAMES, MetricName

ROWS, ROWS_A_PATIENT, GROUPS, DRAWS, FAIRLEARN_DRAWS = 100_000, 6, 40, 200, 10
THRESHOLD = 0.2
AT_THRESHOLD: tuple[MetricName, ...] = (
    "tpr", "fpr", "ppv", "selection_rate", "net_benefit", "brier",
)  # fmt: skip
MOST_SHARE, MOST_APART, MOST_SECONDS = 1 / 300, 1e-12, 30.0

Answer = TypeVar("Answer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    threadpool_limits(1)
    population = simulated(np.random.default_rng(parser.parse_args().seed))
    print(f"{ROWS:,} rows, {len(np.unique(population.clusters)):,} patients, {GROUPS} groups")
    ours, own_seconds = cpu_seconds(lambda: threshold_intervals(population))
    points, once = cpu_seconds(lambda: metric_frame(population, None))
    _, several = cpu_seconds(lambda: metric_frame(population, FAIRLEARN_DRAWS))
    theirs = once + (several - once) * DRAWS / FAIRLEARN_DRAWS
    apart = farthest(ours, points)
    seconds = interval_seconds(population)
    share = own_seconds / theirs
    print(f"{DRAWS} draws, {len(AT_THRESHOLD)} metrics: {', '.join(AT_THRESHOLD)}")
    print(f"  shipped     {own_seconds:8.2f} CPU s")
    print(
        f"  Fairlearn   {theirs:8.2f} CPU s, scaled from {FAIRLEARN_DRAWS} draws ({several:.2f} s,"
        f" {once:.2f} s of it without a draw)"
    )
    print(f"  share       1/{1 / share:.0f}   (bound 1/{1 / MOST_SHARE:.0f})")
    print(f"  points apart by at most {apart:.1e}   (bound {MOST_APART:g})")
    print(
        f"AUROC, calibration slope, intercept, O:E of all rows, {config().bootstrap_draws} draws:"
        f" {seconds:.1f} s   (bound {MOST_SECONDS:g} s on 2 cores)"
    )
    sys.exit(int(share > MOST_SHARE or apart > MOST_APART or seconds > MOST_SECONDS))


def config(**changes: Any) -> AuditConfig:
    """A policy with the default number of draws."""
    limits = {"minimum_rows": 1, "max_unknown_code_share": 1.0, "max_missing_share": 1.0}
    shift = {"max_score_shift_psi": 1.0, "max_selection_rate_change": 1.0}
    line = {"line": "a", "metric": "auroc", "on": "holdout", "group": "overall",
            "against": "best_challenger", "at_least": 0.0}  # fmt: skip
    section = {"threshold": THRESHOLD, "attributes": ["site"], "gating": [line]}
    return AuditConfig.model_validate({**section, "predictions": limits | shift, **changes})


def simulated(rng: np.random.Generator) -> Population:
    """Scores that say something, six rows a patient, every patient in one of 40 sites."""
    patient = np.arange(ROWS) // ROWS_A_PATIENT
    patients = int(patient[-1]) + 1
    logit = (rng.normal(-1.8, 1.0, patients))[patient] + rng.normal(0.0, 0.5, ROWS)
    chance = 1.0 / (1.0 + np.exp(-logit))
    site = rng.integers(0, GROUPS, patients)[patient]
    frame = pl.DataFrame(
        {
            "subject_id": np.arange(ROWS),
            "cluster": patient,
            "split": ["test"] * ROWS,
            "label": (rng.random(ROWS) < chance).astype(np.float64),
            "weight": np.ones(ROWS),
            "score": chance,
            "site": site,
        }
    )
    return populations_of(frame, config(), ())[0]


def threshold_intervals(population: Population) -> list[Measured]:
    """Everybody and each site, as the audit measures them."""
    site = population.attributes["site"].cast(pl.Int64).to_numpy()
    policy = config(bootstrap_draws=DRAWS)
    rows = [np.arange(ROWS), *(np.flatnonzero(site == one) for one in range(GROUPS))]
    parts = [part_of(population, one, population.score, policy) for one in rows]
    return measure_parts(population, parts, policy, AT_THRESHOLD)


def metric_frame(population: Population, draws: int | None) -> fair.MetricFrame:
    """The same metrics by Fairlearn."""
    boot: dict[str, Any] = {"n_boot": draws, "ci_quantiles": [0.025, 0.975], "random_state": 0}
    metrics: dict[str, Any] = {
        "tpr": fair.true_positive_rate,
        "fpr": fair.false_positive_rate,
        "ppv": precision_score,
        "selection_rate": fair.selection_rate,
        "net_benefit": _net_benefit,
        "brier": _brier,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas on Fairlearn's use of it
        return fair.MetricFrame(
            metrics=metrics,
            y_true=population.y,
            y_pred=(population.score >= THRESHOLD).astype(float),
            sensitive_features=population.attributes["site"].to_numpy(),
            sample_params={"brier": {"score": population.score}},
            **(boot if draws else {}),
        )


def _net_benefit(y: FloatArray, selected: FloatArray) -> float:
    y, selected = np.asarray(y), np.asarray(selected)
    odds = THRESHOLD / (1.0 - THRESHOLD)
    return float(((y * selected).sum() - odds * ((1 - y) * selected).sum()) / len(y))


def _brier(y: FloatArray, selected: FloatArray, score: FloatArray) -> float:
    return float(((np.asarray(score) - np.asarray(y)) ** 2).mean())


def farthest(ours: list[Measured], theirs: fair.MetricFrame) -> float:
    """The largest distance of a point value of ours from Fairlearn's, overall or of a group."""
    apart = []
    for name in AT_THRESHOLD:
        i = METRIC_NAMES.index(name)
        others = [theirs.overall[name], *(theirs.by_group[name][str(g)] for g in range(GROUPS))]
        apart += [
            abs(float(one.point[i]) - float(other)) for one, other in zip(ours, others, strict=True)
        ]
    return max(apart)


def interval_seconds(population: Population) -> float:
    """Wall seconds of the intervals of ranks and calibration, of all rows."""
    started = time.monotonic()
    policy = config()
    part = part_of(population, np.arange(ROWS), population.score, policy)
    found = measure_parts(population, [part], policy)[0]
    for name in ("auroc", "calibration_slope", "calibration_intercept", "observed_expected"):
        samples = found.samples[:, METRIC_NAMES.index(name)]
        low, high = np.quantile(samples, [0.025, 0.975])
        print(f"  {name:22} {low:8.4f} to {high:8.4f}")
    return time.monotonic() - started


def cpu_seconds(work: Callable[[], Answer]) -> tuple[Answer, float]:
    started = time.process_time()
    answer = work()
    return answer, time.process_time() - started


if __name__ == "__main__":
    main()
