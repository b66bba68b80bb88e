"""How often patients were tested, for the audit of measurement bias."""

import json
from pathlib import Path

import numpy as np
import polars as pl

from validation.patient_harms.harms import TESTS
from validation.ranking import FloatArray


def with_tests(predictions: pl.DataFrame, sequences: Path) -> pl.DataFrame:
    """The predictions with a column of the measurements known of each example.

    sequences: the artefact whose examples the predictions are, in its order.
    """
    return predictions.with_columns(pl.Series(TESTS, tests_of(sequences)))


def tests_of(sequences: Path) -> FloatArray:
    """[E] measurements known of each example; several of a channel at one moment are one."""
    words = json.loads((sequences / "sequence.json").read_text())
    numeric = np.array([channel["kind"] == "numeric" for channel in words["channels"]], bool)
    channel, steps, examples = (
        np.load(sequences / f"{name}.npy", mmap_mode="r")
        for name in ("observation_channel", "observation_offsets", "step_offsets")
    )
    before = np.concatenate([[0], np.cumsum(numeric[channel])])
    counts: FloatArray = np.diff(before[steps[examples]]).astype(np.float64)
    return counts
