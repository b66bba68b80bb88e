"""The simple models that a network must not lose to, by task: same rows, same weights."""

from models.challengers.garch import Garch
from models.challengers.probability import Line, Prevalence
from models.challengers.quantiles import GarchQuantiles, Historical, RandomWalk, RidgeQuantiles
from models.challengers.table import Challenger
from models.challengers.trees import QuantileTrees, RiskTrees, VolatilityTrees
from models.challengers.volatility import Ewma, Har, LastFive, LastTwentyTwo, VolatilityRidge

_PROBABILITY: dict[str, type[Challenger]] = {
    "logistic_regression": Line,
    "hist_gradient_boosting": RiskTrees,
    "prevalence": Prevalence,
}
CHALLENGERS: dict[str, dict[str, type[Challenger]]] = {
    "risk": _PROBABILITY,
    "direction": _PROBABILITY,
    "volatility": {
        "last_5_sessions": LastFive,
        "last_22_sessions": LastTwentyTwo,
        "ewma": Ewma,
        "har": Har,
        "garch": Garch,
        "ridge": VolatilityRidge,
        "hist_gradient_boosting": VolatilityTrees,
    },
    "quantiles": {
        "random_walk": RandomWalk,
        "historical": Historical,
        "garch": GarchQuantiles,
        "ridge": RidgeQuantiles,
        "hist_gradient_boosting": QuantileTrees,
    },
}
