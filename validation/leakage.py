"""Did the future, or another split, reach a feature? Each check says what was demanded and seen."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class LeakageCheck:
    """One check: its name, whether it passed, in words, and how many rows offended."""

    name: str
    passed: bool
    words: str
    unexpected: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def steps_after_the_index_time(steps: int, late: int) -> LeakageCheck:
    """No time step may lie after the moment of prediction: of so many steps, so many do."""
    return LeakageCheck(
        "no_step_after_the_index_time",
        late == 0,
        f"{steps:,} time steps, of which {late:,} lie after the index time",
        late,
    )


def no_cluster_in_two_splits(
    name: str, cluster: npt.NDArray[np.int64], split: npt.NDArray[np.int8]
) -> LeakageCheck:
    """All rows of a cluster (a subject, a matched set) must lie in one split."""
    pairs = np.unique(np.stack([cluster, split.astype(np.int64)]), axis=1)
    _, splits = np.unique(pairs[0], return_counts=True)
    torn = int((splits > 1).sum())
    return LeakageCheck(
        f"no_{name}_in_two_splits",
        torn == 0,
        f"{splits.size:,} values of {name}, of which {torn:,} lie in two splits",
        torn,
    )


def no_label_reaches_the_next_part(
    windows: npt.NDArray[np.int8],
    index_day: npt.NDArray[np.float64],
    label_end_day: npt.NDArray[np.float64],
) -> LeakageCheck:
    """In every window, labels of a part are decided before the next part's first index time.

    windows [W, E]: 0 train, 1 validation, 2 test; days [E] since 1970, NaN where not known.
    """
    late = 0
    for parts in windows:
        for part in (0, 1):
            later = index_day[parts > part]
            first = later.min() if later.size else -np.inf
            late += int((~(label_end_day[parts == part] <= first)).sum())
    return LeakageCheck(
        "no_label_reaches_the_next_part",
        late == 0,
        f"{len(windows):,} windows, in which {late:,} labels are decided after the next part began",
        late,
    )


def scalers_refitted(equal: Mapping[str, bool]) -> LeakageCheck:
    """Every scaler must be the one that its own training rows give, all others deleted.

    equal: estimator -> whether the stored scaler is the one that was fitted again.
    """
    differing = sum(not same for same in equal.values())
    return LeakageCheck(
        "scalers_refitted",
        bool(equal) and differing == 0,
        f"{len(equal):,} scalers fitted again on their training rows alone, of which {differing:,} "
        "differ from those stored",
        differing,
    )


def differing_arrays(
    stored: Mapping[str, npt.NDArray[Any]], rebuilt: Mapping[str, npt.NDArray[Any]]
) -> list[str]:
    """The names of the stored arrays that came out otherwise, in type or in any bit."""
    return sorted(
        name
        for name in stored
        if name not in rebuilt
        or stored[name].dtype != rebuilt[name].dtype
        or not np.array_equal(stored[name], rebuilt[name], equal_nan=stored[name].dtype.kind == "f")
    )


def replay_check(differing: Sequence[str], examples: int, how: str) -> LeakageCheck:
    """Sequences rebuilt without anything known later must be the stored ones, bit for bit.

    Args:
        differing: the names of the arrays that came out otherwise.
        examples: how many different ones were rebuilt; without one nothing is shown.
        how: as of when, in words.
    """
    found = f"differ in {', '.join(differing)}" if differing else "are identical"
    return LeakageCheck(
        "truncation_replay",
        not differing and examples > 0,
        f"{examples:,} examples rebuilt from what was known by then, {how}: arrays {found}",
        len(differing),
    )
