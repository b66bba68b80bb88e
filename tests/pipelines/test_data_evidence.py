"""What the evidence says of the data, from the artefacts' own files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from models.config import ModelConfig
from pipelines.evidence import architecture_of, data_evidence
from validation.estimates import Counts

FILES: Mapping[str, Mapping[str, object]] = {
    "events": {"accounts.json": []},
    "checks": {"checks.json": {"checks": [], "copied_channels": [], "findings": []}},
    "sequences": {"facts.json": {"flow": [], "leakage": []}},
    "predictions": {"checks.json": []},
}
# split, subject, block of time, label
ROWS = [
    *[("train", 1, 7, 1.0), ("train", 1, 8, 0.0), ("train", 2, 8, 0.0), ("train", 3, 9, None)],
    *[("test", 1, 10, 1.0), ("test", 1, 11, None), ("test", 2, 10, 1.0)],
]


def splits(folder: Path, task: str, minimum: int, rows: Any = ROWS) -> dict[str, Counts]:
    contents = {**FILES, "sequences": {**FILES["sequences"], "sequence.json": {"task": task}}}
    inputs = {name: folder / name for name in contents}
    for name, files in contents.items():
        inputs[name].mkdir()
        for file, words in files.items():
            (inputs[name] / file).write_text(json.dumps(words))
    columns = ["split", "subject_id", "cluster", "label"]
    predictions = pl.DataFrame(rows, schema=columns, orient="row")
    found = data_evidence(inputs, predictions, minimum, None).splits
    return {each.split: each.counts for each in found}


@pytest.mark.parametrize("task", ["volatility", "quantiles", "direction"])
def test_splits_of_forecasts_count_instruments_rows_blocks_and_unknown(
    tmp_path: Path, task: str
) -> None:
    """Rows and blocks are those with a known label; nothing is hidden, however few."""
    assert splits(tmp_path, task, 1) == {
        "train": Counts(subjects=3, rows=3, blocks=2, unknown=1),
        "test": Counts(subjects=2, rows=2, blocks=1, unknown=1),
    }


def test_splits_of_people_hide_a_column_with_a_small_count(tmp_path: Path) -> None:
    """Censored: 1 and 1; cases: 1 and 2; subjects: 4 and 3."""
    assert splits(tmp_path, "risk", 2) == {"train": Counts(subjects=4), "test": Counts(subjects=3)}


def test_splits_of_people_count_subjects_cases_and_censored(tmp_path: Path) -> None:
    assert splits(tmp_path, "risk", 1) == {
        "train": Counts(subjects=4, positives=1, censored=1),
        "test": Counts(subjects=3, positives=2, censored=1),
    }


def test_few_without_the_event_do_not_follow_from_the_other_counts(tmp_path: Path) -> None:
    """Train: 5 subjects, 2 cases, 2 censored, so one without the event."""
    rows = [("train", n, 7, label) for n, label in enumerate([1.0, 1.0, None, None, 0.0])]
    rows += [("test", n, 7, label) for n, label in enumerate([1.0, 1.0, None, None, 0.0, 0.0])]
    found = splits(tmp_path, "risk", 2, rows)
    assert found == {
        "train": Counts(subjects=5, positives=2),
        "test": Counts(subjects=6, positives=2),
    }


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "masked LSTM, 1 x 32 units"),
        (
            {"encoder": {"kind": "gru", "decay": True}, "hidden_size": 8, "layers": 2},
            "masked GRU, 2 x 8 units, fading with time",
        ),
        ({"encoder": "cnn_lstm", "head": "hazard"}, "masked CNN-LSTM, 1 x 32 units, hazard head"),
        (
            {"encoder": {"kind": "attention", "bidirectional": True}},
            "masked LSTM with attention, 1 x 32 units, read from both ends",
        ),
        (
            {"together_with": ["hist_gradient_boosting"]},
            "masked LSTM, 1 x 32 units, answering with hist gradient boosting",
        ),
    ],
)
def test_the_evidence_names_the_network_that_was_trained(
    config: dict[str, Any], words: str
) -> None:
    assert architecture_of(ModelConfig.model_validate(config)) == words
