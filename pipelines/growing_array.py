"""A ``.npy`` file that grows by rows: what is written need not fit into memory."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy


class GrowingArray:
    """Appends to a one-dimensional array on disk; the file is whole once it is closed.

    The bytes are those that ``numpy.save`` writes of all rows at once: its header leaves room for
    a longer first axis.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.rows, self._dtype = 0, np.dtype(dtype)
        self._stream = path.open("wb")
        self._write_header()

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Write rows [N] of the array's own type after the others."""
        if rows.dtype != self._dtype or rows.ndim != 1:
            raise ValueError(f"rows of {rows.dtype} {rows.shape} for an array of {self._dtype}")
        self._stream.write(np.ascontiguousarray(rows).data)
        self.rows += rows.size

    def _write_header(self) -> None:
        self._stream.seek(0)
        words = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.rows,)}
        npy.write_array_header_1_0(self._stream, words)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._write_header()
        self._stream.close()
