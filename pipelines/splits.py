"""Which part an example belongs to, decided by its cluster alone."""

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

SPLITS = ("train", "validation", "test")


class SplitConfig(BaseModel):
    """The shares of the three splits and the seed of the draw."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: float = Field(gt=0, lt=1)
    validation: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + validation + test is {total:g}, expected 1")
        return self


def split_by_cluster(cluster: npt.NDArray[np.int64], config: SplitConfig) -> npt.NDArray[np.int8]:
    """Split number of each row (0 train, 1 validation, 2 test): equal clusters, equal splits.

    A cluster's place in [0, 1) is a seeded hash of its id (the finaliser of SplitMix64, Steele,
    Lea & Flood 2014), so it depends on no other row, on no order, and stays when rows arrive.
    """
    place = _mix(cluster.astype(np.uint64) ^ _mix(np.full(1, config.seed, np.uint64))) / 2**64
    bounds = np.array([config.train, config.train + config.validation])
    return np.searchsorted(bounds, place, side="right").astype(np.int8)


def _mix(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    mixed = bits + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
