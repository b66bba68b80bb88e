"""Tables for people: drawn on a terminal, plain columns elsewhere."""

import sys
from collections.abc import Iterable, Sequence

NUMERIC = "0123456789.,-+%: "


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of text under their columns; columns that hold only numbers are set right."""
    cells = [list(row) for row in rows]
    right = [all(set(row[i]) <= set(NUMERIC) for row in cells) for i in range(len(columns))]
    if sys.stdout.isatty():
        _draw(columns, cells, right)
    else:
        _print_plain(columns, cells, right)


def _draw(columns: Sequence[str], cells: list[list[str]], right: Sequence[bool]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column, is_right in zip(columns, right, strict=True):
        table.add_column(column, justify="right" if is_right else "left", overflow="fold")
    for row in cells:
        table.add_row(*(escape(cell) for cell in row))
    Console().print(table)


def _print_plain(columns: Sequence[str], cells: list[list[str]], right: Sequence[bool]) -> None:
    lines = [list(columns), *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        padded = [
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        ]
        print("  ".join(padded).rstrip())
