"""Which of several networks to take: the smallest of those that are not worse but for noise."""

from collections.abc import Mapping

from validation.comparison import Comparison, Verdict, verdict_of
from validation.estimates import Estimate, Record


class NothingToChoose(ValueError):
    """No network was measured."""


class Choice(Record):
    """What a comparison says, and what is taken of it.

    taken: the network of fewest parameters among `alike`.
    best_network, best_challenger: by the primary metric's value.
    alike: networks whose paired difference to the best one is not more than noise, it included.
    network_minus_challenger: of the best of each, by the primary metric; null without challengers.
    network_is: what that difference says of the network.
    """

    taken: str
    best_network: str
    best_challenger: str | None
    alike: tuple[str, ...]
    network_minus_challenger: Estimate | None
    network_is: Verdict

    @property
    def is_noise(self) -> bool:
        """Whether something smaller than the best network was taken."""
        return self.taken != self.best_network


def choose(comparison: Comparison, parameters: Mapping[str, int]) -> Choice:
    """Take the network of fewest parameters that is not worse than the best one but for noise.

    A difference that cannot be told does not make a network alike. Of as many parameters the
    better value decides.

    Args:
        parameters: numbers that each network trains.

    Raises:
        NothingToChoose: no network has the primary metric.
    """
    if comparison.best_network is None:
        raise NothingToChoose("no network could be measured")
    primary, best = comparison.primary, comparison.model(comparison.best_network)
    alike = [
        model.name
        for model in comparison.models
        if model.kind == "network"
        and (
            model.name == best.name
            or verdict_of(model.to_best_network[primary], primary) == "not more than noise"
        )
    ]
    against = best.to_best_challenger.get(primary)
    return Choice(
        taken=min(alike, key=lambda name: parameters[name]),
        best_network=best.name,
        best_challenger=comparison.best_challenger,
        alike=tuple(alike),
        network_minus_challenger=against,
        network_is="cannot tell" if against is None else verdict_of(against, primary),
    )
