"""Answers by a study's folds: kept, heard of epoch by epoch, stopped, and never of the holdout."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
import pytest

from models.config import ModelConfig
from pipelines.errors import TrainingFailed
from pipelines.out_of_sample import (
    CrossValidated,
    Epoch,
    cross_validate,
    examples_of,
    number_of_folds,
    one_for_all_folds,
    recipe_for,
)
from pipelines.settings import settings
from pipelines.study import Study, load_study
from tests.pipelines.comparison_examples import STUDY, make_sequences, write_study


@dataclass(frozen=True)
class Answered:
    """A study, its sequences, what a cross-validation of it answered and what was heard of it."""

    spec: Study
    sequences: str
    found: CrossValidated
    heard: list[Epoch]


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answered]:
    folder = tmp_path_factory.mktemp("out_of_sample")
    write_study(folder / "studies")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(folder / "home"))
        patch.setenv("EQUIPOISE_STUDIES", str(folder / "studies"))
        spec, sequences = load_study(STUDY), make_sequences()
        heard: list[Epoch] = []
        found = cross_validate(
            spec,
            sequences,
            spec.model,
            with_challengers=True,
            on_epoch=heard.append,
            processes=1,
        )
        yield Answered(spec, sequences, found, heard)


def test_every_row_but_the_holdouts_is_answered_once(answered: Answered) -> None:
    table = answered.found.with_examples()
    examples = examples_of(answered.sequences)
    assert sorted(table["row"]) == examples.filter(pl.col("split") != "test")["row"].to_list()
    assert set(table.columns) >= {"fold", "score", "seed_0", "label", "weight", "sex"}
    assert set(table.columns) >= {"logistic_regression", "hist_gradient_boosting", "prevalence"}
    folds = number_of_folds(answered.spec, answered.sequences)
    assert [(one.fold, one.seed, one.epoch) for one in answered.heard] == [
        (fold, 0, epoch) for fold in range(folds) for epoch in (1, 2)
    ]


def test_what_was_answered_once_is_kept(answered: Answered) -> None:
    again = cross_validate(
        answered.spec,
        answered.sequences,
        answered.spec.model,
        with_challengers=True,
        on_epoch=_must_not_train,
    )
    assert again.key == answered.found.key
    assert again.predictions.equals(answered.found.predictions)
    assert not list((settings().artefacts_dir / "cross_validate").glob(".work-*"))


def _must_not_train(epoch: Epoch) -> None:
    raise AssertionError("trained again")


def test_folds_asked_for_alone_say_what_they_say_among_others(answered: Answered) -> None:
    alone = cross_validate(
        answered.spec, answered.sequences, answered.spec.model, folds=(1, 2), processes=1
    )
    among = answered.found.predictions.filter(pl.col("fold") > 0)
    assert alone.predictions.equals(among.select(alone.predictions.columns))


class _Pruned(Exception):
    """What a study of many trials raises on one that is not worth its epochs."""


def test_who_hears_of_an_epoch_may_stop_the_training(answered: Answered) -> None:
    heard: list[Epoch] = []

    def prune(epoch: Epoch) -> None:
        heard.append(epoch)
        raise _Pruned

    with pytest.raises(_Pruned):
        cross_validate(
            answered.spec,
            answered.sequences,
            answered.spec.model,
            seeds=(7,),
            on_epoch=prune,
            processes=1,
        )
    assert len(heard) == 1
    assert 0 < heard[0].validation_loss < 5


def test_what_makes_a_training_impossible_is_said_in_words(answered: Answered) -> None:
    sequences = make_sequences(24, seed=3)
    with pytest.raises(TrainingFailed, match="the two classes"):
        cross_validate(answered.spec, sequences, answered.spec.model, processes=1)


def test_a_section_is_known_by_the_seeds_that_it_is_tried_with(answered: Answered) -> None:
    def key(config: ModelConfig, seeds: tuple[int, ...]) -> str:
        config = one_for_all_folds(config, seeds)
        return recipe_for(answered.spec, answered.sequences, config, (0,), False).key

    own = answered.spec.model
    other = own.model_copy(update={"seeds": (0, 1, 2), "window_seeds": 2})
    assert key(own, (0,)) == key(other, (0,))
    assert key(own, (0,)) != key(own, (1,))
