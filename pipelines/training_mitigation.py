"""What a training needs to know of a study's mitigation: what to do, and who is of which group."""

import numpy as np
import numpy.typing as npt
import polars as pl

from models.config import TrainingMitigation
from validation.mitigation.config import MitigationConfig

# The folder, in a mitigated model's own, of the model trained without the mitigation.
TWIN = "unmitigated"


def training_mitigation(config: MitigationConfig | None) -> TrainingMitigation | None:
    """The part of a study's mitigation that its training has a say in; None for none."""
    if config is None or not config.trains_otherwise:
        return None
    step = None if config.group_robust is None else config.group_robust.step
    return TrainingMitigation(reweighing=config.reweighing, group_robust_step=step)


def group_numbers(levels: pl.Series) -> npt.NDArray[np.int64]:
    """[E] the number of each example's level, in the alphabet's order; the absent are a level."""
    ranks = levels.cast(pl.String).fill_null("").rank("dense")
    numbers: npt.NDArray[np.int64] = ranks.cast(pl.Int64).to_numpy() - 1
    return numbers
