"""Keep a library's log lines and warnings to ourselves: they may quote cells of a table."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silenced(library: str) -> Iterator[None]:
    """Let no log line of ``library`` and no warning out, whatever level its modules set."""
    logger = logging.getLogger(library)
    # Its modules set levels of their own, so lines are stopped where they all pass.
    sink, propagated = logging.NullHandler(), logger.propagate
    logger.addHandler(sink)
    logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.propagate = propagated
        logger.removeHandler(sink)
