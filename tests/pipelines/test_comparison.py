"""Comparing models of a study: names, columns, costs, and the whole of it once."""

import json
import shutil
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
from pipelines.artefacts import Artefact
from pipelines.comparison.chosen import chosen_section
from pipelines.comparison.compare import PAGE, RECORD, compare_study
from pipelines.comparison.sections import section_of, sections_of, seeds_of
from pipelines.comparison.table import answers_table, cost_of, seed_columns
from pipelines.errors import StudyInvalid
from pipelines.out_of_sample import CrossValidated, cross_validate
from pipelines.settings import settings
from pipelines.source_code import data_hashes
from pipelines.stage import store
from pipelines.stages.race_models import race_models
from pipelines.stages.race_models import recipe_for as race_recipe_for
from pipelines.stages.train_model import train_model
from pipelines.study import Study, load_study
from pipelines.trials import trials_of
from tests.pipelines.comparison_examples import (
    MODEL,
    STUDY,
    keep_answers,
    make_sequences,
    write_study,
)
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

# The weight is more than a float32 can hold: the child ends before its first epoch.
IMPOSSIBLE = "lstm:positive_weight=1.0e+39"


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sequences: str) -> Study:
    """A study of two folds, which a race runs in one leg."""
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))
    return written(tmp_path)


def written(tmp_path: Path, **sections: Any) -> Study:
    folds = {"kind": "grouped", "folds": 2}
    write_study(tmp_path / "studies", **{"cross_validation": folds} | sections)
    return load_study(STUDY)


def record_in(made: Artefact) -> ComparisonRecord:
    return ComparisonRecord.model_validate_json((made.path / RECORD).read_text())


def test_what_can_be_trained_is_compared_and_what_cannot_is_said(spec: Study) -> None:
    own = make_sequences(300)
    quick = spec.model.model_copy(update={"max_epochs": 1})
    names = [IMPOSSIBLE, "gru:max_epochs=1", "auto"]
    made = compare_study(STUDY, names, (0,), sequences=own, processes=1)
    record = record_in(made)
    found = cross_validate(spec, own, section_of("gru", quick), with_challengers=True)
    network = record.comparison.model("gru:max_epochs=1")
    assert found.key == record.models[network.name].key
    rows = found.with_examples().filter(pl.col("label").is_not_null())
    expected = roc_auc_score(rows["label"], rows["score"], sample_weight=rows["weight"])
    assert network.metrics["auroc"].value == pytest.approx(expected)
    assert len(network.by_fold) == 2
    assert record.comparison.best_challenger in ("logistic_regression", "hist_gradient_boosting")
    assert record.choice is not None
    assert record.choice.taken == network.name
    page = (made.path / PAGE).read_text()
    assert "Models compared" in page
    assert len(record.not_tried) == 1
    assert record.not_tried[0].startswith(f"{IMPOSSIBLE} (could not be trained: the training")
    assert "it last said: RuntimeError at losses.py" in record.not_tried[0]
    assert "it last said: RuntimeError at losses.py" in page
    assert len(trials_of(STUDY).tuning) == 2  # what failed was tried too


def test_the_order_of_the_names_changes_nothing_and_each_study_has_its_own_trials(
    tmp_path: Path, spec: Study
) -> None:
    own = make_sequences(300)
    for name in ("gru", "lstm"):
        section = section_of(name, spec.model)
        keep_answers(spec, own, section, 1.0, with_challengers=name == "gru")
    made = compare_study(STUDY, ["lstm", "gru"], (0,), sequences=own)
    again = compare_study(STUDY, ["gru", "lstm"], (0,), sequences=own)
    assert (again.key, again.made) == (made.key, False)
    names = [trial.trial_id.split(" ")[-1] for trial in trials_of(STUDY).tuning]
    assert names == ["gru", "lstm"]
    assert not record_in(made).is_mitigation_left_out
    mitigation = {"attribute": "sex", "reweighing": True}
    written(tmp_path, mitigation=mitigation)
    mitigated = compare_study(STUDY, ["gru", "lstm"], (0,), sequences=own)
    assert record_in(mitigated).is_mitigation_left_out
    assert "mitigation is left out of this comparison" in (mitigated.path / PAGE).read_text()
    (tmp_path / "studies" / f"{STUDY}.yaml").rename(tmp_path / "studies" / "other.yaml")
    compare_study("other", ["gru", "lstm"], (0,), sequences=own)
    assert len(trials_of(STUDY).tuning) == len(trials_of("other").tuning) == 2
    assert trials_of("other").tuning[0].plan_key != trials_of(STUDY).tuning[0].plan_key


def test_what_the_task_has_not_is_refused_before_anything_is_recorded(spec: Study) -> None:
    with pytest.raises(StudyInvalid, match="no other outcomes"):
        compare_study(STUDY, ["lstm", "gru:other_labels_share=0.1"], (0,), sequences="none")
    assert trials_of(STUDY).looked_at == 0


def test_what_a_race_chose_is_what_is_trained_and_its_trials_are_told_when_it_is_reused(
    tmp_path: Path, spec: Study
) -> None:
    names = ["rnn", "gru:hidden_size=3"]
    spec = written(tmp_path, model=MODEL | {"auto": {"minutes": 30, "models": names}})
    key = make_sequences(300)
    for name, noise in zip(names, (9.0, 0.1), strict=True):
        section = section_of(name, spec.model)
        keep_answers(spec, key, section, noise, with_challengers=name == "rnn")
    choice = race_models(STUDY, key)
    words = json.loads((store().open(choice) / "choice.json").read_text())
    section = chosen_section(choice)
    assert words["taken"] == "gru:hidden_size=3"
    assert section == section_of(words["taken"], load_study(STUDY).model)
    model = train_model(STUDY, key, choice)
    trained = json.loads((store().open(model) / "model.json").read_text())["config"]
    assert trained == section.model_dump(mode="json")
    assert store().manifest(model)["recipe"]["inputs"] == {"sequences": key, "choice": choice}
    assert np.isfinite(words["network_minus_challenger"]["value"])
    told = [trial.model_dump(exclude={"recorded_at"}) for trial in trials_of(STUDY).tuning]
    assert [trial["config"]["encoder"]["kind"] for trial in told] == ["rnn", "gru"]
    shutil.rmtree(settings().trials_dir / STUDY)
    assert race_models(STUDY, key) == choice
    again = [trial.model_dump(exclude={"recorded_at"}) for trial in trials_of(STUDY).tuning]
    assert again == told
    (tmp_path / "studies" / f"{STUDY}.yaml").rename(tmp_path / "studies" / "other.yaml")
    assert race_models("other", key) != choice
    assert len(trials_of("other").tuning) == 2


def test_all_that_a_races_page_shows_is_in_its_recipe(tmp_path: Path, spec: Study) -> None:
    written(tmp_path, model="auto")
    recipe = race_recipe_for(STUDY, "sequences")
    assert recipe.files == data_hashes("validation/report")
    assert set(recipe.libraries) >= {"jinja2", "scipy", "polars"}
    written(tmp_path, model="auto", title="Another")
    assert race_recipe_for(STUDY, "sequences").key != recipe.key


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
