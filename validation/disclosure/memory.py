"""What an earlier report showed of which subjects: raw cells, so for the auditor's role alone."""

from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np

from validation.disclosure.cells import Key
from validation.disclosure.cube import Cube, empty_cube
from validation.estimates import Record
from validation.tasks import PopulationName

MEMORY_FILE = "cells.json"
_ONLY_OWNER = 0o600


class RememberedTable(Record):
    """Attributes that crossings link. cells: (place in the flattened cube, subjects), the empty
    left out."""

    attributes: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    populations: tuple[PopulationName, ...]
    cells: tuple[tuple[int, int], ...]

    @property
    def cube(self) -> Cube:
        """Raises IndexError where a cell lies outside the table."""
        cube = empty_cube(self.attributes, self.levels)
        flat = cube.counts.reshape(-1)
        for place, subjects in self.cells:
            flat[place] = subjects
        return cube


class ShownBefore(Record):
    """One report of a study. hidden_keys: counts and rates that it did not show; scored_by: the
    model and threshold whose decisions it shows."""

    scored_by: str = ""
    tables: tuple[RememberedTable, ...] = ()
    hidden_keys: tuple[tuple[str, ...], ...] = ()

    @property
    def hidden(self) -> set[Key]:
        return set(self.hidden_keys)

    def table(self, attributes: tuple[str, ...]) -> RememberedTable | None:
        return next((one for one in self.tables if one.attributes == attributes), None)


def remembered(
    cubes: Sequence[Cube], populations: Sequence[PopulationName], hidden: Set[Key], scored_by: str
) -> ShownBefore:
    """What the next report must know of this one."""
    return ShownBefore(
        scored_by=scored_by,
        tables=tuple(
            RememberedTable(
                attributes=cube.attributes,
                levels=cube.levels,
                populations=tuple(populations),
                cells=tuple(
                    (int(place), int(cube.counts.flat[place]))
                    for place in np.flatnonzero(cube.counts)
                ),
            )
            for cube in cubes
        ),
        hidden_keys=tuple(sorted(hidden)),
    )


def write_memory(memory: ShownBefore, folder: Path) -> Path:
    """Write cells.json, readable by its owner alone."""
    path = folder / MEMORY_FILE
    path.touch(mode=_ONLY_OWNER)
    path.write_text(memory.model_dump_json() + "\n", encoding="utf-8")
    return path


def read_memory(path: Path) -> ShownBefore:
    """Raises ValueError on anything but such a file, so that nothing is shown beside it."""
    return ShownBefore.model_validate_json(path.read_text(encoding="utf-8"), strict=True)
