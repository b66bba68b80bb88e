"""What a training costs: time, memory, size. They tell of a machine and decide no number."""

import json
import resource
import time
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import nn

from models.checkpoints import write_atomically
from models.distributed import added_up, largest, leads, processes_together
from models.estimator import best_device
from models.progress import Report

KIBIBYTE = 1024


class Seconds(NamedTuple):
    """By the wall clock, and of this process's CPU time."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> Self:
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: "Seconds") -> "Seconds":
        return Seconds(self.wall - start.wall, self.processor - start.processor)


class Cost(NamedTuple):
    """Of one network.

    Attributes:
        seconds, processor_seconds: of its training, killed attempts included up to their last
            whole epoch; the processor's are of all processes that trained it together.
        peak_memory_bytes: the most that a process has held (with its libraries), or on a GPU
            the most that its tensors took there.
        parameters: numbers that were trained.
        device: cpu or cuda.
        processes: that trained it together.
        gpu_seconds: seconds x GPUs, one for each process; 0 on a CPU.
    """

    seconds: float
    processor_seconds: float
    peak_memory_bytes: int
    parameters: int
    device: str
    processes: int
    gpu_seconds: float


class Meter:
    """Counts the seconds of one training; `file` keeps those of attempts that were killed."""

    def __init__(self, file: Path, fingerprint: str) -> None:
        self.file, self.fingerprint = file, fingerprint
        self.before = self._earlier()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self.started = Seconds.now()

    def through(self, report: Report) -> Report:
        """The same report, and after each epoch the seconds so far are kept."""

        def measured(
            network: str, epoch: int, epochs: int, losses: str, validation_loss: float
        ) -> None:
            words = {"fingerprint": self.fingerprint, "seconds": self.seconds()}
            if leads():
                write_atomically(self.file, json.dumps(words).encode())
            report(network, epoch, epochs, losses, validation_loss)

        return measured

    def seconds(self) -> Seconds:
        """So far; every process of the training asks."""
        own = Seconds.now().since(self.started)
        spent = float(added_up(torch.tensor([own.processor], dtype=torch.float64)))
        return Seconds(own.wall + self.before.wall, spent + self.before.processor)

    def cost(self, network: nn.Module) -> Cost:
        spent = self.seconds()
        processes, device = processes_together(), best_device().type
        return Cost(
            seconds=spent.wall,
            processor_seconds=spent.processor,
            peak_memory_bytes=int(largest(peak_memory_bytes())),
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            device=device,
            processes=processes,
            gpu_seconds=spent.wall * processes if device == "cuda" else 0.0,
        )

    def _earlier(self) -> Seconds:
        try:
            words = json.loads(self.file.read_bytes())
            if words["fingerprint"] == self.fingerprint:
                return Seconds(*words["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return Seconds(0.0, 0.0)


def peak_memory_bytes() -> int:
    """The most this process has held: of a GPU's memory where there is one, else of its own."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE
