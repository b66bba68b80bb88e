"""What a model directory says in model.json: the released estimator and those of the windows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from models.calibration import Calibration
from models.checkpoints import write_atomically
from models.compression.registry import FORMS, TRAINED
from models.config import ModelConfig
from models.network import SequenceNetwork
from models.scaling import Scaler
from models.store import Channel, SequenceStore


class ModelUnusable(Exception):
    """The model directory is incomplete, altered, or not for these sequences."""


@dataclass(frozen=True)
class Estimator:
    """Networks that share a scaler and a calibration, and the challengers fitted beside them.

    Attributes:
        trained_until: day (since 1970-01-01) on which the last training label was decided; what
            lies before it the networks may have seen.
        calibration, challengers: how raw answers become probabilities; the identity for a task
            that predicts none.
    """

    name: str
    networks: tuple[str, ...]
    scaler: Scaler
    trained_until: float
    calibration: Calibration
    challengers: dict[str, Calibration]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"scaler_sha256": self.scaler.fingerprint()}

    @classmethod
    def from_json(cls, words: dict[str, Any]) -> Self:
        scaler = Scaler.from_json(words["scaler"])
        if scaler.fingerprint() != words["scaler_sha256"]:
            raise ModelUnusable(f"the scaler of {words['name']} is not the one that was fitted")
        challengers = {k: Calibration.from_json(v) for k, v in words["challengers"].items()}
        calibration = Calibration.from_json(words["calibration"])
        until = float(words["trained_until"])
        networks = tuple(words["networks"])
        return cls(words["name"], networks, scaler, until, calibration, challengers)


@dataclass(frozen=True)
class Model:
    """All of model.json. `windows` is empty where the store has none.

    form: in which the networks are kept: as trained, or one of models/compression/registry.py.
    """

    config: ModelConfig
    channels: tuple[Channel, ...]
    statics: tuple[str, ...]
    task: str
    levels: tuple[float, ...]
    horizon: str
    sequences_sha256: str
    released: Estimator
    windows: tuple[Estimator, ...]
    made_with: dict[str, str]
    form: str = TRAINED

    @classmethod
    def of(cls, store: SequenceStore, config: ModelConfig, **trained: Any) -> Self:
        """A model in the language of the store; `trained` says what came of its training."""
        return cls(
            config=config,
            channels=store.channels,
            statics=store.statics,
            task=store.task,
            levels=store.levels,
            horizon=store.horizon,
            **trained,
        )

    def write(self, directory: Path) -> None:
        words = {
            "architecture": "sequence_network",
            "config": self.config.model_dump(mode="json"),
            "channels": [asdict(c) for c in self.channels],
            "statics": list(self.statics),
            "task": self.task,
            "levels": list(self.levels),
            "horizon": self.horizon,
            "sequences_sha256": self.sequences_sha256,
            "released": self.released.to_json(),
            "windows": [window.to_json() for window in self.windows],
            "made_with": self.made_with,
            "form": self.form,
        }
        write_atomically(directory / "model.json", json.dumps(words, indent=1).encode())

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Raises ModelUnusable when model.json is missing, incomplete or altered."""
        try:
            words = json.loads((directory / "model.json").read_text())
            return cls(
                config=ModelConfig.model_validate(words["config"]),
                channels=tuple(Channel(**c) for c in words["channels"]),
                statics=tuple(words["statics"]),
                task=words["task"],
                levels=tuple(words["levels"]),
                horizon=words["horizon"],
                sequences_sha256=words["sequences_sha256"],
                released=Estimator.from_json(words["released"]),
                windows=tuple(Estimator.from_json(window) for window in words["windows"]),
                made_with=words["made_with"],
                form=_known_form(words.get("form", TRAINED)),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelUnusable(f"{directory / 'model.json'} is not readable") from error

    def check_fits(self, store: SequenceStore) -> None:
        """Raises ModelUnusable unless the sequences speak the model's language, word for word."""
        for what, ours, theirs in (
            ("channels", self.channels, store.channels),
            ("static features", self.statics, store.statics),
            ("task", self.task, store.task),
            ("levels", self.levels, store.levels),
            ("horizon", self.horizon, store.horizon),
        ):
            if ours != theirs:
                raise ModelUnusable(f"the sequences' {what} are not those the model was trained on")


def _known_form(form: str) -> str:
    if form not in (TRAINED, *FORMS):
        raise ValueError("no form of that name")
    return form


def new_network(
    scaler: Scaler, config: ModelConfig, outputs: int, other_labels: int = 0
) -> SequenceNetwork:
    return SequenceNetwork(scaler, config, outputs, other_labels)


def read_network(path: Path, scaler: Scaler, config: ModelConfig, outputs: int) -> SequenceNetwork:
    """The network stored at `path`, ready to score.

    Raises:
        ModelUnusable: the file is missing, damaged or of another shape.
    """
    network = new_network(scaler, config, outputs)
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelUnusable(f"{path} does not hold the network of model.json") from error
    return network.eval()


_cpu_alone: ContextVar[bool] = ContextVar("cpu_alone", default=False)


@contextmanager
def on_cpu() -> Iterator[None]:
    """Within the block the CPU is the best device, whatever the machine has."""
    before = _cpu_alone.set(True)
    try:
        yield
    finally:
        _cpu_alone.reset(before)


def best_device() -> torch.device:
    use_gpu = torch.cuda.is_available() and not _cpu_alone.get()
    return torch.device("cuda" if use_gpu else "cpu")
