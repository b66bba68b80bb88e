"""Discrimination over many splits: the network beside its challengers, same inputs, same weights.

Each seed draws its own grouped 70/10/20 split; the study's own stages build sequences, train and
score; the figure is the AUROC of the test part, weighted by the inverse probability of being
censored. Splits overlap, so the interval of a mean describes these splits and no population.

    python -m benchmarks.accuracy_over_splits nafld_diabetes --splits 20
"""

import argparse
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import yaml

from pipelines.strict_yaml import strict_yaml

SCORES = ("score", "hist_gradient_boosting", "logistic_regression", "prevalence")
# Least mean AUROC of the network, and least mean difference to gradient boosting.
LIMITS = {"nafld_diabetes": (0.755, -0.005), "nafld_death": (0.865, None)}
STUDIES = Path(__file__).parents[1] / "studies"

Floats = npt.NDArray[np.float64]


def main() -> int:
    """Run the splits two at a time, print the table, fail if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=sorted(LIMITS))
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    with tempfile.TemporaryDirectory() as home:
        seeds = range(asked.first_seed, asked.first_seed + asked.splits)
        jobs = [(asked.study, seed, Path(home)) for seed in seeds]
        with ProcessPoolExecutor(asked.processes, mp_context=get_context("spawn")) as pool:
            rows = []
            for seed, row in zip(seeds, pool.map(_areas, jobs), strict=True):
                print(f"seed {seed:2}: " + _words(row), flush=True)
                rows.append(row)
    return _judge(asked.study, np.array(rows))


def _areas(job: tuple[str, int, Path]) -> list[float]:
    """Test AUROC of each of SCORES on the split of one seed."""
    study, seed, home = job
    _enter(study, seed, home)
    from pipelines.stages.predict_holdout import predict_holdout
    from pipelines.stages.train_model import train_model
    from pipelines.whole_stages import whole_events, whole_sequences

    sequences = whole_sequences(study, whole_events(study))
    predictions = predict_holdout(study, sequences, train_model(study, sequences))
    table = pl.read_parquet(home / str(seed) / "artefacts" / predictions / "predictions.parquet")
    return _test_areas(table)


def _test_areas(table: pl.DataFrame) -> list[float]:
    from sklearn.metrics import roc_auc_score

    test = table.filter(pl.col("split") == "test", pl.col("label").is_not_null())
    label, weight = test["label"].to_numpy(), test["weight"].to_numpy()
    return [
        float(roc_auc_score(label, test[name].to_numpy(), sample_weight=weight)) for name in SCORES
    ]


def _enter(study: str, seed: int, home: Path) -> None:
    """An installation of its own for the split: the study with another seed, no cross-fitting."""
    folder = home / str(seed)
    (folder / "studies").mkdir(parents=True)
    raw = strict_yaml((STUDIES / f"{study}.yaml").read_text())
    raw["split"]["seed"] = seed
    raw["split"]["cross_fit_folds"] = 0
    (folder / "studies" / f"{study}.yaml").write_text(yaml.safe_dump(raw))
    os.environ["EQUIPOISE_HOME"] = str(folder)
    os.environ["EQUIPOISE_STUDIES"] = str(folder / "studies")


def _judge(study: str, areas: Floats) -> int:
    """Means, spread and intervals over splits; areas [splits, SCORES]."""
    print(f"\n{study}, {len(areas)} splits: mean AUROC (sd; lowest to highest)")
    for name, column in zip(SCORES, areas.T, strict=True):
        low, high = column.min(), column.max()
        print(
            f"  {name:24} {column.mean():.4f} ({column.std(ddof=1):.4f}; {low:.3f} to {high:.3f})"
        )
    for number, name in enumerate(SCORES[1:3], start=1):
        difference = areas[:, 0] - areas[:, number]
        half = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
        print(
            f"  network - {name}: {difference.mean():+.4f} "
            f"({difference.mean() - half:+.4f} to {difference.mean() + half:+.4f})"
        )
    least, least_difference = LIMITS[study]
    met = areas[:, 0].mean() >= least
    words = f"mean AUROC at least {least}"
    if least_difference is not None:
        met = met and (areas[:, 0] - areas[:, 1]).mean() >= least_difference
        words += f", difference to gradient boosting at least {least_difference}"
    print(f"  limit: {words}: {'met' if met else 'MISSED'}")
    return 0 if met else 1


def _words(row: list[float]) -> str:
    return ", ".join(f"{name} {area:.4f}" for name, area in zip(SCORES, row, strict=True))


if __name__ == "__main__":
    sys.exit(main())
