"""What training a model took, in the words of a report."""

from validation.evidence import TrainingCost
from validation.report.formatting import NOTHING

MEBIBYTE = 1024**2


def training_cost(cost: TrainingCost | None) -> str:
    """One line, with the file that says the same."""
    if cost is None:
        return NOTHING
    return (
        f"{_networks(cost)} trained in {cost.seconds:,.0f} s on {_machine(cost)}, "
        f"peak memory {cost.peak_memory_bytes / MEBIBYTE:,.0f} MiB ({cost.file})"
    )


def _networks(cost: TrainingCost) -> str:
    return "1 network" if cost.networks == 1 else f"{cost.networks:,} networks"


def _machine(cost: TrainingCost) -> str:
    if cost.device == "cuda":
        gpus = "1 GPU" if cost.processes == 1 else f"{cost.processes} GPUs"
        return f"{gpus} ({cost.gpu_seconds:,.0f} GPU-seconds)"
    return "the CPU" if cost.processes == 1 else f"the CPU, in {cost.processes} processes each"
