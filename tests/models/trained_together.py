"""What several processes run together in the tests of models/distributed.py: small trainings.

`python -m models.launching --processes 2 tests.models.trained_together FOLDER CASE CASE ...`; the
first process writes what came of each to a folder of its name.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from models.config import ModelConfig, TrainingMitigation
from models.distributed import joined, leads
from models.inputs import fit_inputs
from models.loop import NetworkJob, train_network
from models.mitigation import Mitigation
from models.parts import released_part
from models.standing import Standing
from models.store import SequenceStore
from tests.models.generated_markets import make_market
from tests.models.generated_stores import make_learnable_store
from tests.models.test_training_options import memory_of

PLAIN: dict[str, Any] = {
    "hidden_size": 4,
    "tokens_per_batch": 48,
    "min_epochs": 1,
    "max_epochs": 2,
    "patience_epochs": 2,
    "dropout": 0.0,
}

# What of a training is asked for beside PLAIN. A batch of one step is one sequence: all but one of
# the processes have no share of it.
CASES: dict[str, dict[str, Any]] = {
    "lstm": {},
    "one sequence a batch": {"tokens_per_batch": 1, "max_epochs": 1},
    "everything at once": {
        "encoder": {"kind": "gru", "decay": True},
        "accumulate_batches": 3,
        "clip_value": 0.01,
        "clip_norm": 0.02,
        "l2_penalty": 1e-3,
        "focal_gamma": 2.0,
        "positive_weight": "balanced",
        "truncate_steps": 3,
        "pretraining": {"epochs": 1},
        "other_labels_share": 0.3,
        "scaling": "quantile",
    },
    "hazard of a convolution": {"encoder": "tcn", "head": "hazard", "hazard_bins": 5},
    "both ends": {"encoder": {"kind": "lstm", "bidirectional": True}, "layers": 2},
    "attention": {"encoder": "attention"},
    "cnn_lstm": {"encoder": "cnn_lstm"},
    "rnn": {"encoder": "rnn"},
    "foreseen values": {"pretraining": {"objective": "next_values", "epochs": 2}},
    "bfloat16": {"precision": "bfloat16"},
    "dropout": {"dropout": 0.3},
    "pre-training short of memory": {"pretraining": {"epochs": 1}},
}


def main(folder: Path, cases: list[str]) -> None:
    """Train what the cases say, one after the other."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with joined():
        for case in cases:
            (folder / case).mkdir(parents=True, exist_ok=True)
            standing = trained(case, folder / case)
            if leads():
                keep(standing, folder / case)


def trained(case: str, folder: Path) -> Standing:
    """The training of a case, by however many processes have joined."""
    return CALLED.get(case, train)(case, folder)


def train(
    case: str,
    folder: Path,
    store: SequenceStore | None = None,
    options: dict[str, Any] | None = None,
) -> Standing:
    """The training that CASES names, of learnable sequences, with these options besides."""
    config = ModelConfig.model_validate(PLAIN | CASES.get(case, {}) | (options or {}))
    store = store or make_learnable_store(120)
    part = released_part(store)
    scaler = fit_inputs(store, part.train, config.max_steps, config.scaling)
    job = NetworkJob("network", 0, part, scaler, folder / "checkpoints", case)
    if case == "group robust":
        groups = np.arange(len(store)) % 3
        job = replace(job, mitigation=Mitigation(TrainingMitigation(group_robust_step=0.1), groups))
    return train_network(store, job, config, lambda *_, **__: None)


def train_market(case: str, folder: Path) -> Standing:
    """Of a task that is no probability."""
    return train(case, folder, make_market(case))


def train_short_of_memory(case: str, folder: Path) -> Standing:
    """The last process alone has too little memory for its shares."""
    with memory_of(20 if not leads() else 10**9) as refused:
        standing = train(case, folder)
    if not leads():
        (folder / "refused.json").write_text(json.dumps(refused))
    return standing


CALLED = {
    "quantiles": train_market,
    "volatility": train_market,
    "short of memory": train_short_of_memory,
    "pre-training short of memory": train_short_of_memory,
}


def keep(standing: Standing, folder: Path) -> None:
    """The weights, the gradients of the last step, and the log."""
    save_file({n: w.contiguous() for n, w in standing.best.items()}, folder / "best.safetensors")
    gradients = {
        name: parameter.grad.contiguous()
        for name, parameter in standing.network.named_parameters()
        if parameter.grad is not None
    }
    save_file(gradients, folder / "gradients.safetensors")
    log = [
        {
            "train": one.train_loss,
            "validation": one.validation_loss,
            "clipped": one.clip_rate,
            "tokens": one.tokens_per_batch,
        }
        for one in standing.log
    ]
    (folder / "log.json").write_text(json.dumps(log))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
