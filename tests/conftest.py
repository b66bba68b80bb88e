"""What all tests share: speed is asserted by benchmarks, so no property fails on a busy machine."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
