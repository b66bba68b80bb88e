"""How far the training is: a bar for a person at a terminal, plain lines for a log."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

# A training that says nothing for much longer is stuck.
HEARTBEAT_SECONDS = 60.0


class Report(Protocol):
    """Told after every epoch of every network; `losses` is for people, the number for programs."""

    def __call__(
        self, network: str, epoch: int, epochs: int, losses: str, validation_loss: float
    ) -> None: ...


@contextmanager
def reporting(networks: int) -> Iterator[Report]:
    """Report on standard output, in the form its reader can use."""
    if sys.stdout.isatty():
        with _bar(networks) as report:
            yield report
    else:
        yield line


def line(network: str, epoch: int, epochs: int, losses: str, validation_loss: float) -> None:
    """Tell one epoch in one write, which lines of other processes cannot tear."""
    say(f"{network} epoch {epoch} of at most {epochs}: {losses}")


def say(words: str) -> None:
    """One line on standard output, in one write."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def silent(network: str, epoch: int, epochs: int, losses: str, validation_loss: float) -> None:
    """Tell nothing: one of the processes that train together speaks for all."""


class Heartbeat:
    """Lines between the epochs' own: at most one a minute, of how far work is and of no value.

    speaks: whether to say anything: of several processes one speaks for all.
    """

    def __init__(self, what: str, *, speaks: bool = True) -> None:
        self.what, self.told = what, monotonic()
        # A person at a terminal has the bar.
        self.speaks = speaks and not sys.stdout.isatty()

    def beat(self, done: int, of: int) -> None:
        """Say how much is done, if the last line was long ago."""
        if self.speaks and monotonic() - self.told >= HEARTBEAT_SECONDS:
            self.told = monotonic()
            say(f"{self.what}: {done} of {of} done")


@contextmanager
def _bar(networks: int) -> Iterator[Report]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )
    seen: list[str] = []
    with Progress(*columns) as bar:
        task = bar.add_task("train", total=None, losses="")

        def report(
            network: str, epoch: int, epochs: int, losses: str, validation_loss: float
        ) -> None:
            if network not in seen:
                seen.append(network)
            done = (len(seen) - 1) * epochs + epoch
            bar.update(
                task, description=network, completed=done, total=networks * epochs, losses=losses
            )

        yield report
