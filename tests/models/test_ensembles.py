"""Networks that answer together with challengers, and with units left out by chance."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.batches import assemble
from models.challengers.registry import CHALLENGERS
from models.challengers.table import Table
from models.config import ModelConfig
from models.dropout_draws import Thinning, draw_raw
from models.ensembles import NoCommonScale, raw_answers, together
from models.inputs import fit_inputs
from models.network import SequenceNetwork
from models.scoring import Scoring, score
from models.store import SequenceStore
from models.training import train
from tests.models.generated_markets import make_market
from tests.models.generated_stores import (
    everyone,
    make_learnable_store,
    make_store,
    with_folds,
    write_store,
)

CONFIG = ModelConfig(hidden_size=4, max_epochs=2, min_epochs=1, seeds=(0, 1))
TREES = ("hist_gradient_boosting",)


def trained(folder: Path, config: ModelConfig, store: SequenceStore) -> tuple[Path, Path]:
    sequences = write_store(store, folder / "sequences")
    train(sequences, config, folder / "model", folder / "checkpoints")
    return sequences, folder / "model"


@pytest.fixture(scope="module")
def beside_trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder, store = tmp_path_factory.mktemp("beside"), with_folds(make_learnable_store(400), 2)
    return trained(folder, CONFIG.model_copy(update={"together_with": TREES}), store)


def test_the_mean_of_two_networks_and_two_challengers_by_hand() -> None:
    networks = np.array([[[1.0], [4.0]], [[3.0], [0.0]]])
    challengers = [np.array([[5.0], [1.0]]), np.array([[0.0], [6.0]])]
    joined = together(networks, challengers)
    # The networks' means are 2 and 2: (2 + 5 + 0) / 3 and (2 + 1 + 6) / 3.
    np.testing.assert_allclose(joined.mean(axis=0), [[7 / 3], [3.0]])
    assert together(networks, []) is networks


def test_the_score_is_the_calibrated_mean_of_networks_and_trees(
    beside_trees: tuple[Path, Path],
) -> None:
    scoring = Scoring.open(*beside_trees)
    found = score(*beside_trees)
    estimator, rows = scoring.words.released, np.arange(len(scoring.store))
    trees = CHALLENGERS["risk"][TREES[0]].read(beside_trees[1] / "challengers" / "released")
    logits = trees.predict(Table(scoring.store, scoring.features, rows))
    alone = scoring.networks_alone(estimator, rows)
    expected = (alone.mean(axis=0) + logits)[:, 0] / 2
    np.testing.assert_allclose(found["score"], estimator.calibration(expected), rtol=1e-12)
    assert np.abs(logits[:, 0] - alone.mean(axis=0)[:, 0]).max() > 0.1


def test_cross_fitted_scores_stand_beside_the_trees_of_their_own_window(
    beside_trees: tuple[Path, Path],
) -> None:
    scoring = Scoring.open(*beside_trees)
    found = score(*beside_trees)["score_cross_fitted"]
    for split, estimator in zip(scoring.store.windows, scoring.words.windows, strict=True):
        rows = np.flatnonzero(split == 2)
        folder = beside_trees[1] / "challengers" / estimator.name
        (logits,) = raw_answers(TREES, folder, Table(scoring.store, scoring.features, rows))
        raw = (scoring.networks_alone(estimator, rows).mean(axis=0) + logits)[:, 0] / 2
        np.testing.assert_allclose(found[rows], estimator.calibration(raw), rtol=1e-12)


def test_a_volatility_is_averaged_in_its_logarithm(tmp_path: Path) -> None:
    store = make_market("volatility", sessions=200)
    config = CONFIG.model_copy(update={"together_with": ("ewma",)})
    sequences, model = trained(tmp_path, config, store)
    scoring, found = Scoring.open(sequences, model), score(sequences, model)
    scale = store.scale.astype(np.float64)
    raw = scoring.networks_alone(scoring.words.released, everyone(store)).mean(axis=0)[:, 0]
    geometric = np.sqrt(np.exp(raw) * scale * found["ewma"])
    np.testing.assert_allclose(found["score"], geometric, rtol=1e-6)


@pytest.mark.parametrize(
    ("task", "name"), [("quantiles", "ridge"), ("risk", "garch"), ("volatility", "nobody")]
)
def test_what_has_no_common_scale_does_not_answer_together(
    task: str, name: str, tmp_path: Path
) -> None:
    store = make_store([3, 4], task=task)
    scoring_table = Table(store, None, everyone(store))  # type: ignore[arg-type]  # not looked at
    with pytest.raises(NoCommonScale, match=name):
        raw_answers((name,), tmp_path, scoring_table)


def network_for(store: SequenceStore, dropout: float) -> SequenceNetwork:
    torch.manual_seed(0)
    config = ModelConfig(hidden_size=6, dropout=dropout)
    network = SequenceNetwork(fit_inputs(store, everyone(store), 9), config, 1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.3)
    return network.eval()


def test_draws_differ_repeat_and_depend_on_no_company() -> None:
    store = make_store([4, 6, 2, 8, 3])
    network = network_for(store, dropout=0.5)
    rows = everyone(store)
    draws = draw_raw(network, store, rows, 9, draws=4, seed=1)
    assert draws.shape == (4, 5, 1)
    assert len(np.unique(draws[:, 0, 0])) == 4
    np.testing.assert_array_equal(draws, draw_raw(network, store, rows, 9, draws=4, seed=1))
    alone = [draw_raw(network, store, rows[i : i + 1], 9, draws=4, seed=1) for i in range(5)]
    np.testing.assert_allclose(np.concatenate(alone, axis=1), draws, atol=1e-6)
    assert (draw_raw(network, store, rows, 9, draws=4, seed=2) != draws).any()


def test_without_dropout_a_draw_is_the_answer_itself() -> None:
    store = make_store([4, 6, 2])
    network = network_for(store, dropout=0.0)
    batch = assemble(store, everyone(store), max_steps=9)
    with torch.inference_mode():
        answer = network(batch).double().numpy()
    draws = draw_raw(network, store, everyone(store), 9, draws=2, seed=0)
    np.testing.assert_array_equal(draws, np.stack([answer, answer]))


def test_draws_read_each_example_once() -> None:
    store = make_store([4, 6, 2])
    network = network_for(store, dropout=0.5)
    read: list[int] = []
    hook = network.encoder.register_forward_pre_hook(
        lambda _, given: read.append(len(given[0].inputs))
    )
    draw_raw(network, store, everyone(store), 9, draws=4, seed=0)
    hook.remove()
    assert sum(read) == len(store)


def test_a_draw_is_the_head_written_out_with_its_masks() -> None:
    """Two layers of dropout, each with one mask for all rows, kept units doubled."""
    store = make_store([4, 6, 2])
    network = network_for(store, dropout=0.5)
    batch = assemble(store, everyone(store), max_steps=9)
    with torch.inference_mode():
        sequences, facts = network.read(batch)
        memory = torch.cat([network.encoder(sequences).pooled, facts], dim=1)
        with Thinning(network.head, seed=3).applied():
            first = network(batch)
        generator = torch.Generator().manual_seed(3)
        _, inner, gelu, _, last = network.head.bend
        kept = torch.rand(memory.shape[1], generator=generator) >= 0.5
        hidden = gelu(inner(memory * kept * 2.0))
        kept = torch.rand(hidden.shape[1], generator=generator) >= 0.5
        by_hand = last(hidden * kept * 2.0) + network.head.line(facts)
    torch.testing.assert_close(first, by_hand)


def test_the_spread_is_that_of_the_draws_and_the_score_stays(
    beside_trees: tuple[Path, Path], tmp_path: Path
) -> None:
    scoring = Scoring.open(*beside_trees)
    config = scoring.words.config.model_copy(update={"dropout_draws": 5})
    drawing = replace(scoring, words=replace(scoring.words, config=config))
    estimator, rows = scoring.words.released, np.arange(len(scoring.store))
    drawn = drawing.drawn(estimator, rows)
    assert drawn is not None
    assert drawn.shape == (2 * 5, len(rows), 1)
    assert scoring.drawn(estimator, rows) is None
    found = drawing.columns(estimator, rows, rows[:0])
    plain = scoring.columns(estimator, rows, rows[:0])
    np.testing.assert_array_equal(found["score"], plain["score"])
    expected = estimator.calibration(drawn[:, :, 0]).std(axis=0)
    np.testing.assert_allclose(found["seed_spread"], expected)
    assert (found["seed_spread"] > plain["seed_spread"]).mean() > 0.5
