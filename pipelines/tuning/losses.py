"""Validation losses of a trial's networks, by which it is compared with others as it runs."""

from collections.abc import Mapping, Sequence

from pipelines.out_of_sample import Epoch


class LossesSoFar:
    """Each network's best loss so far.

    A step is an epoch of a network, counted through all of them: networks that stopped early leave
    the rest of theirs out, so one step is the same epoch of the same fold in every trial.
    Which step comes next is therefore another in every trial, but within the first network.
    """

    def __init__(
        self, most_epochs: int, seeds: Sequence[int], reported: Mapping[int, float]
    ) -> None:
        """Go on after a kill.

        Args:
            most_epochs: that a network of any trial may have.
            seeds: of each fold's networks, in the order of their training.
            reported: by step, what a killed attempt told.
        """
        self._most_epochs, self._seeds = most_epochs, list(seeds)
        self.epochs = 0
        self._best: dict[int, float] = {}
        for step, loss in reported.items():
            self._add((step - 1) // most_epochs, loss)

    def add(self, epoch: Epoch) -> tuple[int, float]:
        """The step of this epoch, from 1, and its network's best loss after it."""
        self.epochs += 1
        network = epoch.fold * len(self._seeds) + self._seeds.index(epoch.seed)
        step = network * self._most_epochs + epoch.epoch
        return step, self._add(network, epoch.validation_loss)

    def is_of_the_first(self, epoch: Epoch) -> bool:
        """Whether it is one of the first network's: the first seed's in the first fold."""
        return epoch.fold == 0 and epoch.seed == self._seeds[0]

    def _add(self, network: int, loss: float) -> float:
        self._best[network] = min(self._best.get(network, loss), loss)
        return self._best[network]
