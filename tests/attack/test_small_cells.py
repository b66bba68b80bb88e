"""No small cell can be worked out of a report, or of two; benchmarks/ attacks 2,000 such tables."""

from dataclasses import replace

import numpy as np
import pytest

from tests.attack.generated_reports import (
    Body,
    Printed,
    attackable,
    defended,
    derivable,
    generated,
    naive,
)
from tests.attack.linear_attacker import Report

TABLES = 20


def small_tables() -> list[Body]:
    """The first tables of the benchmark that have a small cell, none of the slowest."""
    bodies = (generated(np.random.default_rng(seed)) for seed in range(4 * TABLES))
    quick = [body for body in bodies if 0 < len(attackable(body)) < 40]
    return quick[:TABLES]


def test_no_small_cell_can_be_worked_out_where_the_naive_rule_gives_most_of_them_away() -> None:
    tables = small_tables()
    assert len(tables) == TABLES
    assert [derivable(body, defended(body)) for body in tables] == [[]] * TABLES
    broken = [body for body in tables if derivable(body, naive(body), only_first=True)]
    assert len(broken) > TABLES / 2


@pytest.mark.parametrize("kept_back", ["counts", "rates"])
def test_the_attacker_finds_a_leak_where_the_report_gives_back_what_it_hid(kept_back: str) -> None:
    """The attack can fail the defender: printing only one kind of what was hidden is enough."""
    found = 0
    for body in small_tables()[:6]:
        pages = defended(body)
        told: dict[Report, Printed] = {}
        for report, page in pages.items():
            if kept_back == "counts":
                told[report] = replace(page, withheld={})
            else:
                told[report] = replace(page, counts=naive(body)[report].counts)
        found += bool(derivable(body, told, only_first=True))
    assert found
