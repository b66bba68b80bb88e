"""Comparing models of a study: names, columns, costs, and the whole of it once."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score

from models.config import EncoderConfig, ModelConfig
from models.encoders.encoder import Sequences
from models.encoders.tcn import TCNEncoder
from pipelines.comparison.chosen import chosen_section
from pipelines.comparison.compare import PAGE, RECORD, compare_study
from pipelines.comparison.sections import section_of, sections_of, seeds_of
from pipelines.comparison.table import answers_table, cost_of, seed_columns
from pipelines.errors import StudyInvalid
from pipelines.out_of_sample import CrossValidated, cross_validate
from pipelines.stage import store
from pipelines.stages.race_models import race_models
from pipelines.stages.train_model import train_model
from pipelines.study import load_study
from pipelines.trials import trials_of
from tests.pipelines.comparison_examples import MODEL, STUDY, make_sequences, write_study
from validation.comparison_record import ComparisonRecord

BASE = ModelConfig.model_validate(MODEL | {"dropout": 0.1, "encoder": {"kind": "gru"}})


# ---- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("study", {}),
        ("gru", {}),
        ("lstm", {"encoder": {"kind": "lstm"}}),
        ("gru+decay", {"encoder": {"kind": "gru", "decay": True}}),
        ("lstm+hazard", {"encoder": {"kind": "lstm"}, "head": "hazard"}),
        ("lstm:hidden_size=64", {"encoder": {"kind": "lstm"}, "hidden_size": 64}),
        (
            "tcn:encoder.kernel_size=5:dropout=0.2",
            {"encoder": {"kind": "tcn", "kernel_size": 5}, "dropout": 0.2, "layers": 6},
        ),
    ],
)
def test_a_name_is_the_studys_section_but_for_what_it_says(
    name: str, changed: dict[str, Any]
) -> None:
    expected = ModelConfig.model_validate(BASE.model_dump() | changed)
    assert section_of(name, BASE) == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("transformer", "'transformer' is none of"),
        ("lstm+wings", "'wings' is none of"),
        ("lstm:width=3", "no field 'width'"),
        ("lstm:encoder.width=3", "no field"),
        ("lstm:hidden_size", "no field=value"),
        ("lstm:hidden_size=0", "hidden_size: Input should be greater"),
        ("tcn+decay", "has no decay"),
        ("lstm:seeds=7", "seeds are those of all models"),
        ("lstm:window_seeds=1", "seeds are those of all models"),
    ],
)
def test_a_name_that_cannot_be_read_is_refused_in_words(name: str, words: str) -> None:
    with pytest.raises(StudyInvalid, match=words):
        section_of(name, BASE)


@pytest.mark.parametrize(
    ("name", "layers", "sees"),
    [
        ("tcn", 7, 509),  # 1 + 4 (2^7 - 1), and 6 levels see 253 of the 256 steps
        ("tcn:max_steps=5", 1, 5),
        ("tcn:max_steps=6", 2, 13),
        ("tcn:max_steps=22", 3, 29),
        ("tcn:max_steps=4096", 8, 1021),  # no section may have more
        ("tcn:encoder.kernel_size=64", 2, 379),
        ("tcn:layers=1", 1, 5),
    ],
)
def test_a_convolution_sees_the_whole_record_unless_its_name_says_otherwise(
    name: str, layers: int, sees: int
) -> None:
    section = section_of(name, BASE)
    assert section.layers == layers
    encoder = TCNEncoder(1, 0, section.model_copy(update={"hidden_size": 2})).double().eval()
    steps = torch.ones(1, sees + 1, dtype=torch.bool)
    inputs = torch.rand(1, sees + 1, 1, dtype=torch.float64, requires_grad=True)
    for parameter in encoder.parameters():
        torch.nn.init.uniform_(parameter, 0.1, 0.2)  # positive, so that nothing is cut off
    sequences = Sequences(inputs, torch.ones(1, sees + 1, 2), steps, steps.cumsum(1) - 1)
    encoder(sequences).pooled.sum().backward()
    assert inputs.grad is not None
    assert (inputs.grad[0, :, 0] > 0).tolist() == [False] + [True] * sees


def test_the_study_itself_keeps_the_layers_that_it_names() -> None:
    own = BASE.model_copy(update={"encoder": EncoderConfig(kind="tcn")})
    assert section_of("study", own) == own


@pytest.mark.parametrize("names", [[], ["lstm", "lstm"]])
def test_models_are_named_each_once(names: list[str]) -> None:
    with pytest.raises(StudyInvalid, match="each once"):
        sections_of(names, BASE)


def test_seeds_are_different_numbers() -> None:
    assert seeds_of("0,3") == (0, 3)
    for words in ("", "0,0", "-1", "a"):
        with pytest.raises(StudyInvalid):
            seeds_of(words)


# ---- the table and the costs -------------------------------------------------------------------


def answers(key: str, fold: list[int], row: list[int], score: list[float]) -> CrossValidated:
    table = pl.DataFrame({"fold": fold, "row": row, "score": score})
    both = table.with_columns(
        seed_0=pl.col("score") - 0.1,
        seed_4=pl.col("score") + 0.1,
        seed_spread=pl.lit(0.1),
        prevalence=pl.lit(0.2),
    )
    network = {
        "epochs": 3,
        "seconds": 2.0,
        "processor_seconds": 1.5,
        "peak_memory_bytes": 100 + len(row),
        "parameters": 7,
        "scoring_seconds_per_row": 1e-6,
    }
    cost = {"networks": {"a": network, "b": network}, "challengers": {}}
    return CrossValidated("key", key, both, cost)


@pytest.fixture
def sequences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    return make_sequences(60)


def test_each_example_has_one_line_and_what_several_folds_test_is_averaged(sequences: str) -> None:
    first = answers(sequences, [0, 0, 1], [3, 7, 7], [0.2, 0.4, 0.6])
    second = answers(sequences, [0, 0, 1], [3, 7, 7], [0.1, 0.1, 0.3])
    table = answers_table({"a": [first], "b:x=1": [second]}, [first], ["prevalence"], "risk")
    assert table.height == 60
    assert table["row"].to_list() == list(range(60))
    told = table.filter(pl.col("fold").is_not_null())
    assert told["row"].to_list() == [3, 7]
    assert told["fold"].to_list() == [0, 0]
    assert told["a"].to_list() == pytest.approx([0.2, 0.5])
    assert told["b:x=1"].to_list() == pytest.approx([0.1, 0.2])
    assert seed_columns("a", first, "risk") == ["a seed 0", "a seed 4"]
    assert told["a seed 4"].to_list() == pytest.approx([0.3, 0.6])


def test_parts_are_put_together_whether_or_not_they_hold_the_simple_models(
    sequences: str,
) -> None:
    first = answers(sequences, [0, 0], [3, 7], [0.2, 0.4])
    rest = answers(sequences, [1], [9], [0.6])
    bare = replace(rest, predictions=rest.predictions.drop("prevalence"))
    table = answers_table({"a": [first, bare]}, [first, rest], ["prevalence"], "risk")
    told = table.filter(pl.col("fold").is_not_null())
    assert told["row"].to_list() == [3, 7, 9]
    assert told["a"].to_list() == pytest.approx([0.2, 0.4, 0.6])
    assert told["prevalence"].to_list() == [0.2, 0.2, 0.2]


def test_costs_are_added_up_over_folds_and_seeds_and_memory_is_the_most(sequences: str) -> None:
    parts = [answers(sequences, [0], [1], [0.5]), answers(sequences, [1, 1], [2, 3], [0.5, 0.5])]
    cost = cost_of(parts)
    assert (cost.networks, cost.epochs, cost.seconds, cost.processor_seconds) == (4, 12, 8.0, 6.0)
    assert (cost.peak_memory_bytes, cost.parameters) == (102, 7)
    assert cost.scoring_seconds_per_1000_rows == pytest.approx(1e-3)


# ---- all of it ---------------------------------------------------------------------------------


def test_two_models_are_compared_recorded_as_trials_and_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sequences: str
) -> None:
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))
    write_study(tmp_path / "studies", cross_validation={"kind": "grouped", "folds": 2})
    names, own = ["lstm", "gru", "auto"], make_sequences(500)
    made = compare_study(STUDY, names, (0,), sequences=own, processes=1)
    record = ComparisonRecord.model_validate_json((made.path / RECORD).read_text())
    spec = load_study(STUDY)
    key = record.how.sequences_key
    for name in ("lstm", "gru"):
        found = cross_validate(
            spec, key, section_of(name, spec.model), with_challengers=name == "lstm"
        )
        assert found.key == record.models[name].key
        rows = found.with_examples().filter(pl.col("label").is_not_null())
        expected = roc_auc_score(rows["label"], rows["score"], sample_weight=rows["weight"])
        assert record.comparison.model(name).metrics["auroc"].value == pytest.approx(expected)
        assert len(record.comparison.model(name).by_fold) == 2
    assert record.comparison.best_challenger in ("logistic_regression", "hist_gradient_boosting")
    assert record.choice is not None
    assert record.choice.taken in ("lstm", "gru")
    assert [trial.config["encoder"]["kind"] for trial in trials_of(STUDY).tuning] == ["lstm", "gru"]  # type: ignore[call-overload,index]
    assert "Models compared" in (made.path / PAGE).read_text()
    again = compare_study(STUDY, names, (0,), sequences=key)
    assert (again.key, again.made) == (made.key, False)
    assert len(trials_of(STUDY).tuning) == 2


@pytest.mark.slow
def test_what_a_race_chose_is_what_is_trained_and_named_in_its_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sequences: str
) -> None:
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))
    race = MODEL | {"auto": {"minutes": 30, "models": ["rnn", "gru:hidden_size=3"]}}
    write_study(tmp_path / "studies", model=race)
    key = make_sequences(500)
    choice = race_models(STUDY, key)
    words = json.loads((store().open(choice) / "choice.json").read_text())
    section = chosen_section(choice)
    assert section == section_of(words["taken"], load_study(STUDY).model)
    model = train_model(STUDY, key, choice)
    trained = json.loads((store().open(model) / "model.json").read_text())["config"]
    assert trained == section.model_dump(mode="json")
    assert store().manifest(model)["recipe"]["inputs"] == {"sequences": key, "choice": choice}
    assert race_models(STUDY, key) == choice
    assert len(trials_of(STUDY).tuning) == 2
    assert np.isfinite(words["network_minus_challenger"]["value"])


def test_a_study_that_names_its_model_cannot_be_raced_nor_trained_by_a_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sequences: str
) -> None:
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))
    write_study(tmp_path / "studies")
    with pytest.raises(StudyInvalid, match="nothing to choose"):
        race_models(STUDY, sequences)
    with pytest.raises(StudyInvalid, match="names its model"):
        train_model(STUDY, sequences, "race_models/0123456789abcdef")
    write_study(tmp_path / "studies", model="auto")
    with pytest.raises(StudyInvalid, match="has not raced"):
        train_model(STUDY, sequences)
