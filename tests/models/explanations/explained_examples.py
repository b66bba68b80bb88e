"""Networks to be explained, and what an oracle needs: all of it small and made of chance."""

import itertools
import math
from dataclasses import replace

import numpy as np
import torch

from models.batches import Batch, Padding, assemble
from models.explanations.explained import Explained
from models.explanations.players import Players
from models.store import SequenceStore
from models.tasks import task_of
from tests.models.generated_stores import everyone, make_store
from tests.models.test_masking import MAX_STEPS, network_for


def explained_for(task: str = "risk", networks: int = 2, size: float = 0.3) -> Explained:
    """An ensemble whose networks share a scaler; `size` of their weights, which bends them."""
    store = make_store([9] * 50, task=task)
    found = []
    for number in range(networks):
        network = network_for(store).eval()
        with torch.no_grad():
            drawing = torch.Generator().manual_seed(number)
            for parameter in network.parameters():
                parameter.copy_(size * torch.randn(parameter.shape, generator=drawing))
        found.append(network)
    return Explained.of(found, task_of(task, store.levels))


def linear(explained: Explained) -> Explained:
    """The same without the perceptron: a straight line on the facts."""
    with torch.no_grad():
        for network in explained.networks:
            for parameter in network.head.bend[-1].parameters():
                parameter.zero_()
    return explained


def batch_of(store: SequenceStore, padding: Padding | None = None) -> Batch:
    return assemble(store, everyone(store), max_steps=MAX_STEPS, padding=padding)


def without_observation(store: SequenceStore, row: int, step: int, channel: int) -> SequenceStore:
    """The store written anew as if that observation of the example had never been made.

    step: among the example's last MAX_STEPS. The time step stays.
    """
    first = max(store.step_offsets[row], store.step_offsets[row + 1] - MAX_STEPS)
    at = int(first) + step
    begin, end = store.observation_offsets[at], store.observation_offsets[at + 1]
    gone = begin + int(np.flatnonzero(store.observation_channel[begin:end] == channel)[0])
    offsets = store.observation_offsets.copy()
    offsets[at + 1 :] -= 1
    return replace(
        store,
        observation_offsets=offsets,
        observation_channel=np.delete(store.observation_channel, gone),
        observation_value=np.delete(store.observation_value, gone),
    )


def shapley_by_enumeration(players: Players) -> list[float]:
    """Shapley's formula, coalition by coalition."""
    count = len(players)
    worth = {}
    for there in itertools.product([False, True], repeat=count):
        worth[there] = float(players.value(torch.tensor([there]))[0])
    values = [0.0] * count
    for there in worth:
        size = sum(there)
        for player in range(count):
            if there[player]:
                continue
            weight = math.factorial(size) * math.factorial(count - size - 1)
            joined = (*there[:player], True, *there[player + 1 :])
            values[player] += weight * (worth[joined] - worth[there]) / math.factorial(count)
    return values
