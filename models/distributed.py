"""One network trained by several processes together, as models/launching.py starts them.

Every process plans the same batches, takes its share of the sequences of each, and adds up with
the others: gradients before a step, losses after an epoch. All then take the same step. So what is
learned is what one process learns of the whole batches, but for the order of additions and for
dropout, which every process draws for itself.

The sums are plain all-reduces and not torch's DistributedDataParallel: our loss is a sum over a
batch that is known before it is cut, so nothing is to be averaged; batches that are accumulated
are exchanged once, not one by one; and a process without a share of a batch takes part all the
same. What is given up is exchanging early gradients while late ones are still computed.

Where there is one process only, all of this does nothing.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, distributed, nn

from models.processes import (
    EXCHANGE_FILE,
    ExchangeFailed,
    end_with_launcher,
    end_without_reader,
)
from models.seeds import mixed

# While the first process fits challengers the others wait; a stuck one is noticed by its silence
# (pipelines/training_process.py), a dead one at once.
LONGEST_WAIT = timedelta(hours=48)

# Draws of several processes: neither those of one alone nor those of a pre-training.
STREAM = 2

Rows = npt.NDArray[np.int64]
T = TypeVar("T")


class ProcessesDisagree(Exception):
    """The processes of one training no longer hold the same weights."""


class MemoryRanOut(Exception):
    """In one of the processes: all of them give up what they were at."""


def processes_together() -> int:
    """How many processes train one network; 1 unless this one has joined others."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def leads() -> bool:
    """Whether this process writes files and lines: the first does, and any that is alone."""
    return _rank() == 0


@contextmanager
def joined() -> Iterator[None]:
    """Work together with the other processes of the launcher, if there are any, and end together.

    Numbers on a CPU are exchanged by gloo, those on a GPU by nccl, each process having its own.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield
        return
    end_with_launcher()
    end_without_reader(lambda: os._exit(1))
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"
    place = os.environ.get(EXCHANGE_FILE)  # unset under a torchrun that somebody else started
    distributed.init_process_group(
        backend,
        init_method=f"file://{place}" if place else "env://",
        rank=int(os.environ["RANK"]),
        world_size=world,
        timeout=LONGEST_WAIT,
    )
    yield
    wait_for_all()
    distributed.destroy_process_group()


def share_of(rows: Rows, lengths: Rows) -> Rows:
    """What this process takes of the batch `rows` [B]; may be nothing.

    Args:
        lengths: [E] time steps of every example of the store.
    """
    if processes_together() == 1:
        return rows
    return shares(rows, lengths, processes_together())[_rank()]


def shares(rows: Rows, lengths: Rows, parts: int) -> list[Rows]:
    """A batch cut by sequence into `parts`, which differ by one sequence and the longest's steps.

    From the longest on they are dealt out to and fro: 0 1 2, 2 1 0, 0 1 2 and so on.
    """
    turn = np.arange(len(rows)) % (2 * parts)
    taker = np.empty(len(rows), dtype=np.int64)
    taker[np.argsort(-lengths[rows], kind="stable")] = np.minimum(turn, 2 * parts - 1 - turn)
    return [rows[taker == part] for part in range(parts)]


def shares_of_plan(plan: list[Rows]) -> list[Rows]:
    """The whole batches of `plan` that this process takes, where nothing is to be learned."""
    return plan[_rank() :: processes_together()]


def own_seed(*numbers: int) -> int:
    """One seed of several numbers, another one in each process of several."""
    if processes_together() == 1:
        return mixed(*numbers)
    return mixed(*numbers, STREAM, _rank())


def added_up(values: Tensor) -> Tensor:
    """The sum over all processes of `values`, which each of them gives in the same shape."""
    return _exchanged(values.clone(), distributed.ReduceOp.SUM)


def largest(value: float) -> float:
    """The largest number that any process gives."""
    found = torch.tensor([value], dtype=torch.float64)
    return float(_exchanged(found, distributed.ReduceOp.MAX))


def wait_for_all() -> None:
    """Go on when every process is here."""
    added_up(torch.zeros(1))


def start_alike(network: nn.Module) -> None:
    """Give every process the first one's weights."""
    if processes_together() > 1:
        for tensor in network.state_dict().values():
            distributed.broadcast(tensor, src=0)


@torch.no_grad()
def add_up_gradients(network: nn.Module) -> None:
    """Replace each gradient by its sum over all processes; None where no process has one.

    Raises:
        MemoryRanOut: in a process that did not come so far.
    """
    if processes_together() == 1:
        return
    parameters = list(network.parameters())
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    present = torch.tensor([float(p.grad is not None) for p in parameters])
    flat = torch.cat([*(part.flatten() for part in parts), present.to(parts[0])])
    require_memory()
    sizes = [*(part.numel() for part in parts), len(parts)]
    *sums, counts = torch.split(_exchanged(flat, distributed.ReduceOp.SUM), sizes)
    for parameter, total, count in zip(parameters, sums, counts.tolist(), strict=True):
        parameter.grad = total.view_as(parameter) if count else None


def if_it_fits(work: Callable[[], T]) -> T | None:
    """What `work` answers; None in all processes, which stop in its midst, where memory ran out.

    Work says `require_memory()` before each exchange but those of this module that say it.
    """
    try:
        answer = work()
        require_memory()
        return answer
    except MemoryRanOut:
        return None
    except torch.OutOfMemoryError:
        pass  # the exception, whose frames hold on to the memory, is gone then
    _short_of_memory(here=True)
    return None


def require_memory() -> None:
    """Go on if all processes came so far.

    Raises:
        MemoryRanOut: in one of the others.
    """
    if _short_of_memory(here=False):
        raise MemoryRanOut


def require_same(network: nn.Module, standing: str) -> None:
    """Fail rather than train on with weights that have drifted apart.

    Raises:
        ProcessesDisagree: on weights, or on where the training stands.
    """
    if processes_together() == 1:
        return
    digest = hashlib.sha256(standing.encode())
    for tensor in network.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    number = float(int.from_bytes(digest.digest()[:6]))  # a float64 holds six bytes exactly
    if (largest(number), -largest(-number)) != (number, number):
        raise ProcessesDisagree(f"{standing}: the processes hold different weights")


def _short_of_memory(*, here: bool) -> bool:
    """Whether memory ran out in any process: each is asked before every exchange."""
    return bool(added_up(torch.tensor([float(here)])) > 0)


def _rank() -> int:
    """Which of the processes this one is, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def _exchanged(tensor: Tensor, how: distributed.ReduceOp.RedOpType) -> Tensor:
    if processes_together() == 1:
        return tensor
    try:
        distributed.all_reduce(tensor, how)
    except RuntimeError as error:
        raise ExchangeFailed from error
    return tensor
