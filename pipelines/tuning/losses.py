"""Validation losses of a trial's networks, in the order in which they are trained."""

from dataclasses import dataclass, field

from pipelines.out_of_sample import Epoch


@dataclass
class LossesSoFar:
    """Each network's best loss so far; their mean is what trials are compared by as they run.

    A step is an epoch of a network, counted through all of them: networks that stopped early leave
    the rest of theirs out, so one step is the same epoch of the same fold in every trial.

    Attributes:
        most_epochs: that a network of any trial may have.
    """

    most_epochs: int
    best: dict[tuple[int, int], float] = field(default_factory=dict)
    epochs: int = 0

    def add(self, epoch: Epoch) -> tuple[int, float]:
        """The step of this epoch, from 1, and the mean of the best losses after it."""
        network = (epoch.fold, epoch.seed)
        self.epochs += 1
        self.best[network] = min(
            self.best.get(network, epoch.validation_loss), epoch.validation_loss
        )
        place = list(self.best).index(network)
        step = place * self.most_epochs + epoch.epoch
        return step, sum(self.best.values()) / len(self.best)
