"""Shards of scores: by one release all of them, by whatever machine each of them."""

from pathlib import Path

import pytest
import torch

from models.estimator import best_device, on_cpu
from pipelines.artefacts import Counts
from pipelines.errors import ArtefactCorrupt, ReleaseChanged
from pipelines.score_recipes import ScoreRecipes
from pipelines.shard_parts import in_order
from pipelines.shards import shards
from pipelines.stage import device_class, store
from pipelines.study import load_study
from tests.pipelines.publication_examples import release

SEQUENCES = "merge_sequences/0000000000000001"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))


def recipes(model: str, sequences: str = SEQUENCES) -> ScoreRecipes:
    return ScoreRecipes(load_study("nafld_diabetes"), release(model=model), sequences)


def nothing(draft: Path) -> Counts:
    return {}


def test_shards_of_which_some_are_by_another_release_are_told_from_spoiled_ones() -> None:
    first, second = recipes("train_model/0001"), recipes("train_model/0002")
    olds, news = (
        [store().make(one.shard(shard), nothing).key for shard in shards(3)]
        for one in (first, second)
    )
    assert in_order([news[2], news[0], news[1]], second.shard) == news
    for parts in (olds, [*olds[:2], news[2]]):
        with pytest.raises(ReleaseChanged, match="not the one that all shards were made by"):
            in_order(parts, second.shard)
    other = recipes("train_model/0002", "merge_sequences/0000000000000002")
    elsewhere = store().make(other.shard(next(iter(shards(3)))), nothing).key
    for wrong in (olds[:2], [olds[0], olds[1], olds[1]], [elsewhere, *olds[1:]]):
        with pytest.raises(ArtefactCorrupt, match="not all the shards"):
            in_order(wrong, second.shard)


def test_a_machine_with_a_gpu_scores_as_one_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = recipes("train_model/0001").merged().key
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text("#!/bin/sh\necho GPU 0: A\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(driver.parent), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert device_class() == "cuda"
    assert recipes("train_model/0001").merged().key == without

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert best_device().type == "cuda"
    with on_cpu():
        assert best_device().type == "cpu"
    assert best_device().type == "cuda"
