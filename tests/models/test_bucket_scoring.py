"""Scores of a part of the subjects: the very bits that the whole store gets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bucket_scoring import score_by_bucket
from models.buckets import BUCKET_BITS, of_like_length, units_of, wanted
from models.compression.compressing import compress
from models.config import ModelConfig
from models.scoring import score
from models.store import SequenceStore
from models.training import train
from pipelines import shards
from pipelines.shards import WHOLE, Shard
from tests.models.generated_markets import make_market
from tests.models.generated_stores import make_learnable_store, write_store

CONFIG = ModelConfig(hidden_size=4, max_epochs=2, min_epochs=1, seeds=(0, 1), dropout=0.2)
MODELS = {
    "ensemble": CONFIG,
    "with draws": CONFIG.model_copy(update={"dropout_draws": 3}),
    "with trees": CONFIG.model_copy(update={"together_with": ("hist_gradient_boosting",)}),
    "bfloat16": CONFIG.model_copy(update={"precision": "bfloat16"}),
}


def pseudonymous(store: SequenceStore) -> SequenceStore:
    """The store with 63-bit pseudonyms, ascending; a handful of buckets have nobody."""
    drawn = np.random.default_rng(7).integers(0, 2**63 - 1, len(store), dtype=np.int64)
    empty = np.isin(drawn >> BUCKET_BITS, [0, 17, 63])
    return replace(store, subject=np.sort(np.where(empty, drawn ^ (8 << BUCKET_BITS), drawn)))


@pytest.fixture(scope="module", params=sorted(MODELS))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("buckets")
    write_store(pseudonymous(make_learnable_store(300)), folder / "sequences")
    train(folder / "sequences", MODELS[request.param], folder / "model", folder / "checkpoints")
    return folder


def in_parts(folder: Path, of: int) -> dict[str, np.ndarray]:
    """The scores of all shards in turn, side by side."""
    found: dict[str, list[np.ndarray]] = {}
    for number in range(of):
        first, last = Shard(number, of).subject_ids
        for name, values in score_by_bucket(
            folder / "sequences", folder / "model", first, last
        ).items():
            found.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in found.items()}


def test_buckets_are_those_of_the_pipelines() -> None:
    assert BUCKET_BITS == shards.BUCKET_BITS


def test_one_shard_and_many_give_the_same_bits(trained: Path) -> None:
    whole = in_parts(trained, 1)
    assert {"score", "score_raw", "seed_spread", "score_seed_0", "score_seed_1"} == set(whole)
    for of in (3, 64):
        parts = in_parts(trained, of)
        assert set(parts) == set(whole)
        for name, values in whole.items():
            assert parts[name].tobytes() == values.tobytes(), (of, name)


def test_they_are_the_scores_that_the_audit_saw_but_for_rounding(trained: Path) -> None:
    audited = score(trained / "sequences", trained / "model")
    tolerance = 0.02 if "bfloat16" in (trained / "model" / "model.json").read_text() else 1e-6
    for name, values in in_parts(trained, 3).items():
        np.testing.assert_allclose(values, audited[name], atol=tolerance, rtol=tolerance)


def test_a_shard_without_anybody_has_no_column(trained: Path) -> None:
    first, last = Shard(17, 64).subject_ids
    assert score_by_bucket(trained / "sequences", trained / "model", first, last) == {}


@pytest.mark.parametrize("form", ["onnx", "onnx_int8"])
def test_smaller_models_are_cut_the_same_way(form: str, tmp_path: Path) -> None:
    sequences = write_store(pseudonymous(make_learnable_store(300)), tmp_path / "sequences")
    train(sequences, CONFIG, tmp_path / "trained", tmp_path / "checkpoints")
    compress(sequences, tmp_path / "trained", form, tmp_path / "model")
    whole, parts = in_parts(tmp_path, 1), in_parts(tmp_path, 8)
    assert {name: values.tobytes() for name, values in parts.items()} == {
        name: values.tobytes() for name, values in whole.items()
    }


def test_a_market_is_scored_whole_and_as_ever(tmp_path: Path) -> None:
    store = pseudonymous_market(make_market("quantiles", sessions=120))
    sequences = write_store(store, tmp_path / "sequences")
    config = CONFIG.model_copy(update={"seeds": (0,)})
    train(sequences, config, tmp_path / "model", tmp_path / "checkpoints")
    audited = score(sequences, tmp_path / "model")
    first, last = WHOLE.subject_ids
    found = score_by_bucket(sequences, tmp_path / "model", first, last)
    assert "score_q05" in found
    for name, values in found.items():
        np.testing.assert_array_equal(values, audited[name])


def pseudonymous_market(store: SequenceStore) -> SequenceStore:
    return replace(store, subject=store.subject * (2**63 // (int(store.subject.max()) + 1)))


def test_a_unit_is_a_bucket_of_whoever_is_wanted() -> None:
    store = pseudonymous(make_learnable_store(500))
    first, last = Shard(1, 3).subject_ids
    units = list(units_of(store, first, last))
    assert np.concatenate(units).tolist() == wanted(store, first, last).tolist()
    buckets = [np.unique(store.subject[unit] >> BUCKET_BITS).tolist() for unit in units]
    assert [len(bucket) for bucket in buckets] == [1] * len(units)
    assert len(np.unique(np.concatenate(buckets))) == len(units)


def test_examples_of_like_length_lie_between_powers_of_four() -> None:
    lengths = np.array([0, 1, 2, 3, 4, 7, 8, 15, 16])
    rows = np.array([8, 0, 1, 5, 2, 3, 4, 6, 7])
    found = [sorted(lengths[rows[places]].tolist()) for places in of_like_length(lengths, rows)]
    assert found == [[0, 1, 2, 3], [4, 7, 8, 15], [16]]
