"""A whole model in each form: scored like any model, calibrated anew, refused where altered."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.compression.compressing import compress
from models.compression.fine_tuning import fine_tune
from models.compression.form import CompressionImpossible, Training, form_of
from models.compression.graph import recurrence_of
from models.compression.pruned_units import importances, without_units
from models.compression.pruned_weights import masks_of
from models.compression.registry import FORMS
from models.config import ModelConfig
from models.estimator import Model, ModelUnusable, read_network
from models.networks import use_threads
from models.parts import released_part
from models.scoring import refitted_scalers, score
from models.store import TRAIN, SequenceStore
from models.training import TWIN, train
from tests.models.generated_stores import (
    HORIZON_DAYS,
    everyone,
    make_learnable_store,
    with_folds,
    write_store,
)
from tests.models.test_compression import MAX_STEPS, answers, network_for
from tests.models.test_training_options import OPTIONS

CONFIG = ModelConfig(
    hidden_size=8, learning_rate=0.02, tokens_per_batch=256, max_epochs=8, seeds=(0, 1)
)
# Largest difference of a probability from the trained model's. A pruned one is another model.
NEAR = {"onnx": 1e-5, "onnx_int8": 0.03, "torchao_int8": 0.03}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compressing")
    write_store(with_folds(make_learnable_store(900), 2), folder / "sequences")
    train(folder / "sequences", CONFIG, folder / "model", folder / "checkpoints")
    (folder / "model" / "manifest.json").write_text("as an artefact has one")
    return folder


@pytest.fixture(scope="module", params=sorted(FORMS))
def smaller(request: pytest.FixtureRequest, trained: Path) -> tuple[str, Path]:
    form = str(request.param)
    counts = compress(trained / "sequences", trained / "model", form, trained / form)
    assert counts["networks"] == 2 + 2
    assert not (trained / form / "manifest.json").exists()
    return form, trained / form


def test_a_smaller_model_scores_as_the_trained_one_does(
    trained: Path, smaller: tuple[str, Path]
) -> None:
    form, folder = smaller
    before, now = (score(trained / "sequences", one) for one in (trained / "model", folder))
    assert set(now) == set(before)
    for name in ("logistic_regression", "hist_gradient_boosting_cross_fitted"):
        np.testing.assert_array_equal(now[name], before[name])
    for name in ("score", "score_cross_fitted", "score_seed_1"):
        assert (now[name] != before[name]).any()
        if form in NEAR:
            np.testing.assert_allclose(now[name], before[name], atol=NEAR[form])
        else:
            assert np.corrcoef(now[name], before[name])[0, 1] > 0.85


def test_a_smaller_model_is_read_by_its_form_and_was_fitted_on_its_training_rows(
    trained: Path, smaller: tuple[str, Path]
) -> None:
    form, folder = smaller
    words = Model.read(folder)
    assert words.form == form
    assert set(refitted_scalers(trained / "sequences", folder).values()) == {True}
    assert words.config.hidden_size == (4 if form == "pruned_units" else 8)
    assert {"onnxruntime", "torchao"} <= set(words.made_with)


def test_a_smaller_model_is_made_twice_with_the_same_bytes(
    trained: Path, smaller: tuple[str, Path], tmp_path: Path
) -> None:
    form, folder = smaller
    compress(trained / "sequences", trained / "model", form, tmp_path)
    for file in folder.rglob("*"):
        if file.is_file():
            assert (tmp_path / file.relative_to(folder)).read_bytes() == file.read_bytes()


def test_files_of_another_form_than_the_model_names_are_refused(
    trained: Path, smaller: tuple[str, Path], tmp_path: Path
) -> None:
    _, folder = smaller
    altered = shutil.copytree(folder, tmp_path / "altered")
    words = json.loads((altered / "model.json").read_text())
    for form in ("zip", None, 7):
        (altered / "model.json").write_text(json.dumps(words | {"form": form}))
        with pytest.raises(ModelUnusable):
            score(trained / "sequences", altered)
    for other in set(FORMS) - {words["form"], "onnx", "pruned_units"}:
        (altered / "model.json").write_text(json.dumps(words | {"form": other}))
        with pytest.raises(ModelUnusable):
            score(trained / "sequences", altered)


def test_a_smaller_model_is_not_compressed_again(trained: Path, smaller: tuple[str, Path]) -> None:
    _, folder = smaller
    with pytest.raises(CompressionImpossible, match="already"):
        compress(trained / "sequences", folder, "onnx", trained / "again")


@pytest.mark.parametrize("form", ["pruned_magnitude", "pruned_units"])
def test_a_mitigated_model_is_not_trained_on_without_its_mitigation(
    form: str, trained: Path, tmp_path: Path
) -> None:
    mitigated = shutil.copytree(trained / "model", tmp_path / "mitigated")
    (mitigated / TWIN).mkdir()
    with pytest.raises(CompressionImpossible, match="without its mitigation"):
        compress(trained / "sequences", mitigated, form, tmp_path / "smaller")
    assert not (tmp_path / "smaller").exists()


@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_model_whose_dropout_is_told_is_refused_before_anything_is_made_of_it(
    form: str, trained: Path, tmp_path: Path
) -> None:
    """Its scores are refused in every form, so making one would be in vain."""
    drawn = shutil.copytree(trained / "model", tmp_path / "drawn")
    config = Model.read(drawn).config.model_copy(update={"dropout_draws": 2})
    replace(Model.read(drawn), config=config).write(drawn)
    assert "seed_spread" in score(trained / "sequences", drawn)
    with pytest.raises(CompressionImpossible, match="no dropout to be left on"):
        compress(trained / "sequences", drawn, form, tmp_path / "smaller")
    assert not (tmp_path / "smaller").exists()
    replace(Model.read(drawn), form=form).write(drawn)
    with pytest.raises(ModelUnusable, match="no dropout to be left on"):
        score(trained / "sequences", drawn)


# ---- pruning -----------------------------------------------------------------------------------


def test_half_of_each_matrix_is_pruned_the_smallest_numbers_and_stays_so(trained: Path) -> None:
    store, words = SequenceStore.open(trained / "sequences"), Model.read(trained / "model")
    use_threads(1)
    network = read_network(
        trained / "model" / "seed_0.safetensors", words.released.scaler, CONFIG, 1
    )
    masks = masks_of(network, 0.5)
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    for name, mask in masks.items():
        size = before[name].abs()
        assert size[mask == 0].max() <= size[mask == 1].min()
        assert int(mask.sum()) == mask.numel() - round(0.5 * mask.numel())
        network.get_parameter(name).data.mul_(mask)
    assert not any(name.startswith("head.line") or "bias" in name for name in masks)
    after = fine_tune(network, CONFIG, Training(store, released_part(store), 0), masks)
    for name, mask in masks.items():
        assert not after.get_parameter(name)[mask == 0].any()


@pytest.mark.parametrize("option", OPTIONS)
def test_whatever_a_training_is_told_pruning_goes_on_from_there_and_leaves_no_file(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole and of half the width, one after the other: neither takes up what the other left."""
    monkeypatch.chdir(tmp_path)
    store = make_learnable_store(150)
    network, config = network_for(store, **OPTIONS[option])
    training = Training(store, released_part(store), 0)
    for form, most in (("pruned_magnitude", 6), ("pruned_units", 3)):
        smaller = form_of(form).compressed(network, config, training)
        assert smaller.beside is None
        assert answers(smaller, store, everyone(store)).isfinite().all()
        last = smaller.get_parameter("head.bend.4.weight")
        assert last.shape[1] == most
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("head", ["direct", "hazard"])
def test_a_pruned_hazard_learns_from_the_censored_and_a_pruned_label_does_not(head: str) -> None:
    store = make_learnable_store(150)
    network, config = network_for(store, head=head)
    lost = np.isnan(store.label) & (store.split == TRAIN)
    longer = replace(store, followed_days=np.where(lost, HORIZON_DAYS, store.followed_days))
    one, other = (
        fine_tune(network, config, Training(each, released_part(each), 0)).state_dict()
        for each in (store, longer)
    )
    learned = any((one[name] != values).any() for name, values in network.state_dict().items())
    moved = any((one[name] != other[name]).any() for name in one)
    assert learned
    assert moved == (head == "hazard")


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_network_without_units_that_say_nothing_answers_the_same(kind: str, layers: int) -> None:
    """Units 1 and 4 of each layer are read by nobody: what is left is all there was."""
    store = make_learnable_store(40)
    network, _ = network_for(store, encoder=kind, layers=layers)
    recurrence, kept = recurrence_of(network), torch.tensor([0, 2, 3, 5])
    with torch.no_grad():
        for number in range(layers):
            getattr(recurrence, f"weight_hh_l{number}")[:, [1, 4]] = 0.0
            if number:
                getattr(recurrence, f"weight_ih_l{number}")[:, [1, 4]] = 0.0
        network.get_parameter("head.bend.1.weight")[:, [1, 4]] = 0.0
        network.get_parameter("head.bend.4.weight")[:, [1, 4]] = 0.0
    rows = everyone(store)
    found = importances(network, recurrence, store, rows, MAX_STEPS)
    for values in found.values():
        assert set(values.argsort(descending=True)[:4].tolist()) == set(kept.tolist())
    thin, _ = network_for(store, encoder=kind, layers=layers, hidden_size=4)
    thin.load_state_dict(without_units(network, recurrence, dict.fromkeys(found, kept)))
    torch.testing.assert_close(
        answers(thin, store, rows), answers(network, store, rows), rtol=1e-5, atol=1e-6
    )
