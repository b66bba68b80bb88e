"""One network from its rows to its file, in whichever process."""

import hashlib
import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn
import torch
from safetensors.torch import save_file
from threadpoolctl import threadpool_limits

from models.config import ModelConfig
from models.cost import Meter
from models.distributed import leads, processes_together
from models.estimator import best_device, new_network
from models.loop import NetworkJob, predict_together, train_network
from models.mitigation import Mitigation
from models.parts import Part, known
from models.progress import Report
from models.standing import Standing
from models.store import SequenceStore


@dataclass(frozen=True)
class NetworkTask:
    """What a process needs to train one network; it opens the sequences itself."""

    sequences: Path
    config: ModelConfig
    job: NetworkJob
    output: Path


@dataclass(frozen=True)
class Trained:
    """How it went and what it cost, and raw answers [R, K] for the known validation rows."""

    log: dict[str, Any]
    raw: npt.NDArray[np.float64]


def fit_network(task: NetworkTask, report: Report) -> Trained:
    """Train, and write the best epoch's weights to the output.

    Raises:
        TrainingImpossible: the loss is no number any more.
    """
    use_threads(task.config.threads)
    store, job = SequenceStore.open(task.sequences), task.job
    meter = Meter(job.checkpoints.with_name(f"{job.name}_seconds.json"), job.fingerprint)
    standing = train_network(store, job, task.config, meter.through(report))
    best = {name: weights.cpu().contiguous() for name, weights in standing.best.items()}
    if leads():
        save_file(best, task.output / f"{job.name}.safetensors")
    log = {
        "best_epoch": standing.best_epoch,
        "epochs": [asdict(entry) for entry in standing.log],
        "cost": meter.cost(standing.network)._asdict(),
    }
    return Trained(log, _judge(store, task, standing))


def use_threads(threads: int) -> None:
    """Fix what decides the last bits on a CPU: the number of threads and the kernels."""
    torch.set_num_threads(threads)
    # scikit-learn brings an OpenMP of its own, whose idle threads spin beside our other processes.
    threadpool_limits(threads, user_api="openmp")
    torch.use_deterministic_algorithms(best_device().type == "cpu")


def made_with() -> dict[str, str]:
    """The versions and the kind of machine that decide the numbers.

    Several processes that train a network together add up in another order than one: last bits.
    """
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "arch": version("arch"),
        "device": best_device().type,
        "machine": platform.machine(),
        "processes_per_network": str(processes_together()),
    }


def _judge(store: SequenceStore, task: NetworkTask, standing: Standing) -> npt.NDArray[np.float64]:
    network = new_network(task.job.scaler, task.config, standing.network.outputs)
    network.load_state_dict(standing.best)
    network = network.to(best_device())
    judged = known(store, task.job.part.validation)
    return predict_together(network, store, judged, task.config.max_steps)


def fingerprint_of(
    config: ModelConfig,
    sequences_sha256: str,
    part: Part,
    name: str,
    seed: int,
    mitigation: Mitigation | None = None,
) -> str:
    """Equal for two trainings exactly when one may go on where the other stopped."""
    words = [config.model_dump(mode="json"), sequences_sha256, made_with(), name, seed]
    digest = hashlib.sha256(json.dumps(words).encode())
    digest.update(part.train.tobytes())
    digest.update(part.validation.tobytes())
    if mitigation is not None:
        digest.update(mitigation.fingerprint().encode())
    return digest.hexdigest()
