"""What each way to explain costs, whether it adds up, and how faithful it is to the networks.

``python -m benchmarks.explanations nafld_diabetes`` explains 200 random subjects of the newest
scoring of a study that was run before (``equipoise run nafld_diabetes``). Rows per second are of
one CPU thread. Methods that ask the networks hundreds of times per subject have their faithfulness
measured on fewer subjects: it takes eleven explanations of each.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.explanations.explaining import Explaining
from models.explanations.registry import METHODS, OF_REASONS
from pipelines.console import print_table
from pipelines.journal import read_entries
from pipelines.stage import store
from validation.faithfulness import MOST_ADDITIVITY_ERROR, judge_faithfulness

SUBJECTS = 200
SUBJECTS_OF_SLOW_ONES = 40
Rows = npt.NDArray[np.int64]

FAST = ("integrated_gradients", "gradient_shap")


def main() -> int:
    """Print the table; fail if what should add up does not, or the reasons are not faithful."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("--sequences", type=Path, help="a store, with --model, of no study's")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    told = parser.parse_args()
    sequences, model = newest(told.study) if told.model is None else (told.sequences, told.model)
    explaining = Explaining.open(sequences, model)
    everybody = np.random.default_rng(0).permutation(len(explaining.store))
    print(f"{told.study}: {len(explaining.store):,} examples, {SUBJECTS} random ones explained")
    rows: list[tuple[str, ...]] = []
    failed: list[str] = []
    for method in told.methods:
        rows.append(measured(explaining, method, np.sort(everybody[:SUBJECTS]), everybody, failed))
        print(*rows[-1], flush=True)  # the slow ones take minutes
    print_table(
        (
            *("method", "rows/s", "additivity error", "subjects"),
            *("comprehensiveness", "random", "sufficiency", "random"),
            *("redrawn weights", "of sizes", "verdict"),
        ),
        rows,
    )
    print("; ".join(failed) if failed else "every limit is met")
    return 1 if failed else 0


def newest(study: str) -> tuple[Path, Path]:
    """The sequences and the model of the study's newest scores."""
    key = [entry.key for entry in read_entries(study) if entry.stage == "merge_scores"][-1]
    made_of = store().manifest(key)["recipe"]["inputs"]
    return store().open(made_of["sequences"]), store().open(made_of["model"])


def measured(
    explaining: Explaining,
    method: str,
    chosen: Rows,
    everybody: Rows,
    failed: list[str],
) -> tuple[str, ...]:
    """One method's row of the table."""
    began, missing, answers = time.process_time(), [], []
    for _, _, found in explaining.explain(method, chosen):
        missing.append(found.missing.abs().cpu().numpy())
        answers.append(found.answer.cpu().numpy())
    speed = len(chosen) / (time.process_time() - began)
    error = float(np.concatenate(missing).max() / np.ptp(np.concatenate(answers)))
    judged = everybody[: SUBJECTS if method in FAST else SUBJECTS_OF_SLOW_ONES]
    told = explaining.faithfulness(np.sort(judged), method)
    lost = np.abs(np.concatenate(missing)) > MOST_ADDITIVITY_ERROR * (told["answer_range"] or 0.0)
    verdict = judge_faithfulness(told | {"not_adding_up_share": float(lost.mean())}).verdict
    if METHODS[method].adds_up and error > MOST_ADDITIVITY_ERROR:
        failed.append(f"{method} does not add up")
    if method == OF_REASONS and verdict != "pass":
        failed.append(f"{method} gives the reasons and is not faithful")
    return (
        method,
        f"{speed:.1f}",
        f"{error:.1e}" if METHODS[method].adds_up else f"({error:.1e})",
        str(told["subjects"]),
        f"{told['comprehensiveness']:.3f}",
        f"{told['random_comprehensiveness']:.3f}",
        f"{told['sufficiency']:.3f}",
        f"{told['random_sufficiency']:.3f}",
        f"{told['redrawn_correlation']:.3f}",
        f"{told['redrawn_size_correlation']:.3f}",
        verdict,
    )


if __name__ == "__main__":
    sys.exit(main())
