"""Networks and challengers that answer together: the mean of their raw answers.

A network and gradient-boosted trees err in different places; the mean of their logits is often
better than either. Trees are stored as skops with a fixed list of types, as any challenger.
"""

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from models.challengers.registry import CHALLENGERS
from models.challengers.table import Challenger, Table
from models.store import PROBABILITIES

Floats = npt.NDArray[np.float64]

# What reading a challenger's file may end in.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, BadZipFile)


class NoCommonScale(ValueError):
    """The task's challengers say nothing that a network's raw answer could be averaged with."""


def together(networks: Floats, challengers: list[Floats]) -> Floats:
    """[N, R, K] each network's raw answer averaged with those of the challengers, each [R, K].

    The mean over the networks is then the mean of the networks' mean and the challengers.
    """
    if not challengers:
        return networks
    joined: Floats = (networks + np.sum(challengers, axis=0)) / (1 + len(challengers))
    return joined


def read_challengers(names: tuple[str, ...], folder: Path, task: str) -> list[Challenger]:
    """The challengers in `folder` that can answer together with networks of the task.

    Raises:
        NoCommonScale: of the task there is none, or it has no challenger of that name.
        OSError, ValueError, KeyError, TypeError, BadZipFile: a file is missing or damaged.
    """
    known = CHALLENGERS[task]
    if names and (task not in (*PROBABILITIES, "volatility") or not set(names) <= set(known)):
        raise NoCommonScale(f"a network of {task} cannot answer together with {', '.join(names)}")
    return [known[name].read(folder) for name in names]


def raw_answers(names: tuple[str, ...], folder: Path, table: Table) -> list[Floats]:
    """[R, 1] of each challenger in `folder`, on the scale of the networks' raw answers.

    Raises: as `read_challengers`.
    """
    return said_raw(read_challengers(names, folder, table.store.task), table)


def said_raw(challengers: Sequence[Challenger], table: Table) -> list[Floats]:
    """[R, 1] of each challenger, on the scale of the networks' raw answers.

    Of a probability both say logits. Of a volatility a network says the log of its ratio to the
    scale (models/tasks.py).
    """
    said = [challenger.predict(table) for challenger in challengers]
    if table.store.task in PROBABILITIES:
        return said
    return [np.log(one) - np.log(table.scale)[:, None] for one in said]
