"""Seeds for draws that must not resemble each other."""

import numpy as np


def mixed(*numbers: int) -> int:
    """One seed of several numbers, such as a seed and an epoch; neighbours have nothing alike."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
