"""Can a count of 1 to 10 by a patient attribute be worked out from what reports print?

    python -m benchmarks.disclosure_attack --tables 2000

Each table is a generated body of patients with its report, in one of seven yesterday's report
too. The attacker (tests/attack/linear_attacker.py: integer programming over bodies of patients,
written apart from the defender) reads counts, totals, rates to three decimals, which metrics are
there, both populations and both reports. A cell is derivable if it is shown, or if no other body
of patients has the same report and 11 or more in the cell; where totals bound it below 11 already,
if the groups' numbers say more of it than those. The naive rule, which hides small cells and
nothing else, is attacked on the same tables: it must fail. Exits with 1 on any leak.
"""

import argparse
import sys

import numpy as np

from tests.attack.generated_reports import attackable, defended, derivable, generated, naive


def main() -> None:
    """Attack generated tables, print both numbers, exit with 1 if the defender leaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first table")
    given = parser.parse_args()
    leaks = broken = with_small = small = unsolved = 0
    for seed in range(given.first, given.first + given.tables):
        body = generated(np.random.default_rng(seed))
        targets = attackable(body)
        small += len(targets)
        try:
            found = derivable(body, defended(body))
        except TimeoutError:
            unsolved += 1
            print(f"table {seed}: not solved in time", flush=True)
            continue
        leaks += len(found)
        for place, kind in found:
            print(f"table {seed}: {kind} of {place} can be worked out")
        if targets:
            with_small += 1
            broken += bool(derivable(body, naive(body), only_first=True))
        done = seed + 1 - given.first
        if done % 50 == 0 or done == given.tables:
            print(
                f"{done} tables, {with_small} with small cells ({small} of them): "
                f"{leaks} derivable, {unsolved} tables unsolved; the naive rule of 11 is broken on "
                f"{broken} tables",
                flush=True,
            )
    sys.exit(1 if leaks or unsolved or broken <= with_small / 2 else 0)


if __name__ == "__main__":
    main()
