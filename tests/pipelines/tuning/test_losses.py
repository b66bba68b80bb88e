"""The steps by which trials are compared as they run."""

from pipelines.out_of_sample import Epoch
from pipelines.tuning.losses import LossesSoFar


def told(losses: LossesSoFar, *epochs: tuple[int, int, int, float]) -> list[tuple[int, float]]:
    return [losses.add(Epoch(fold, seed, epoch, 10, loss)) for fold, seed, epoch, loss in epochs]


def test_a_step_is_the_same_epoch_of_the_same_network_though_others_stopped_early() -> None:
    losses = LossesSoFar(10, (7, 4), {})
    epochs = [(0, 7, 1, 0.9), (0, 7, 2, 0.7), (0, 7, 3, 0.8), (0, 4, 1, 0.6), (1, 4, 2, 0.5)]
    assert told(losses, *epochs) == [(1, 0.9), (2, 0.7), (3, 0.7), (11, 0.6), (32, 0.5)]
    assert losses.epochs == 5


def test_after_a_kill_steps_and_best_losses_go_on_where_they_were() -> None:
    epochs = [(0, 7, 1, 0.9), (0, 7, 2, 0.4), (1, 7, 1, 0.8), (1, 7, 2, 0.7), (1, 7, 3, 0.9)]
    whole = told(LossesSoFar(10, (7,), {}), *epochs)
    taken_up = LossesSoFar(10, (7,), dict(whole[:4]))
    assert told(taken_up, epochs[4]) == whole[4:] == [(13, 0.7)]


def test_only_the_first_seeds_network_of_the_first_fold_is_the_first() -> None:
    losses = LossesSoFar(10, (7, 4), {})
    epochs = [Epoch(fold, seed, 1, 10, 0.5) for fold in (0, 1) for seed in (7, 4)]
    assert [losses.is_of_the_first(epoch) for epoch in epochs] == [True, False, False, False]
