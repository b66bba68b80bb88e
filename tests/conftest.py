"""What all tests share: speed is asserted by benchmarks, so no property fails on a busy machine."""

import os

from hypothesis import settings

# CI looks at the same examples each time; everybody else finds new ones for it.
settings.register_profile("unhurried", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("unhurried")
