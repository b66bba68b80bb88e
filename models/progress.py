"""How far the training is: a bar for a person at a terminal, plain lines for a log."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


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
    sys.stdout.write(f"{network} epoch {epoch} of at most {epochs}: {losses}\n")
    sys.stdout.flush()


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
