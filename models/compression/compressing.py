"""A whole model in another form: every network of it, what is fitted beside them as it was."""

import re
import shutil
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from models.challengers.fitting import calibrate
from models.compression.form import (
    CompressionImpossible,
    Form,
    Training,
    form_of,
    lost_by_forms,
)
from models.compression.registry import TRAINED
from models.config import ModelConfig
from models.estimator import Estimator, Model, ModelUnusable, read_network
from models.networks import use_threads
from models.parts import Part, known, part_of
from models.scoring import Scoring
from models.store import SequenceStore
from models.tasks import task_of
from models.training import TWIN

LIBRARIES = ("onnx", "onnxruntime", "torchao")
# What tells of the networks themselves, and the list of an artefact's files; all the rest, such as
# the challengers, is kept as it is.
_OF_NETWORKS = ("*.safetensors", "model.json", "manifest.json")
_SEED = re.compile(r"seed_(\d+)$")


def compress(sequences: Path, model: Path, form: str, output: Path) -> dict[str, int]:
    """Write the model in another form to `output`, and count its networks and their bytes.

    The networks are calibrated anew, on the validation part they were calibrated on before.

    Raises:
        CompressionImpossible: there is no such form, the encoder has none, the model is no
            trained one, or its scores need what no form has.
        ModelUnusable: the model is not readable, or was trained on other sequences.
        SequencesUnusable: `sequences` is not a readable store.
    """
    store, words = SequenceStore.open(sequences), Model.read(model)
    if words.form != TRAINED:
        raise CompressionImpossible(f"the model is of form {words.form} already")
    made = form_of(form)
    if (lost := lost_by_forms(words.config)) is not None:
        raise CompressionImpossible(lost)
    if made.trains_on and (model / TWIN).exists():
        raise CompressionImpossible("a mitigated model would be trained on without its mitigation")
    if words.sequences_sha256 != store.fingerprint():
        raise ModelUnusable("the model was trained on other sequences")
    use_threads(words.config.threads)
    shutil.copytree(model, output, ignore=shutil.ignore_patterns(*_OF_NETWORKS), dirs_exist_ok=True)
    splits = {each.name: s for each, s in zip(words.windows, store.windows, strict=True)}
    splits["released"] = store.split
    making = Making(store, model, words.config, made, output)
    estimators = {each.name: each for each in (words.released, *words.windows)}
    parts = {name: part_of(name, splits[name]) for name in estimators}
    for name, old in estimators.items():
        making.networks(old, parts[name])
    words = replace(
        words,
        config=making.form.config(words.config),
        made_with=words.made_with | {name: version(name) for name in LIBRARIES},
        form=form,
    )
    words.write(output)
    scoring = Scoring.open(sequences, output)
    new = {name: calibrated(scoring, old, parts[name]) for name, old in estimators.items()}
    windows = tuple(new[each.name] for each in words.windows)
    replace(words, released=new["released"], windows=windows).write(output)
    files = [file for file in output.iterdir() if file.suffix == making.form.suffix]
    return {"networks": len(files), "network_bytes": sum(file.stat().st_size for file in files)}


def calibrated(scoring: Scoring, old: Estimator, part: Part) -> Estimator:
    """The estimator with the calibration that its networks, as they are read, want now."""
    judged = known(scoring.store, part.validation)
    raw = scoring.networks(old, judged).mean(axis=0)
    return replace(old, calibration=calibrate(scoring.store, judged, raw))


@dataclass(frozen=True)
class Making:
    """A model that is being compressed."""

    store: SequenceStore
    model: Path
    config: ModelConfig
    form: Form
    output: Path

    def networks(self, old: Estimator, part: Part) -> None:
        """Write each network of an estimator in the new form."""
        outputs = task_of(self.store.task, self.store.levels).outputs
        for name in old.networks:
            file = self.model / f"{name}.safetensors"
            network = read_network(file, old.scaler, self.config, outputs)
            training = Training(self.store, part, _seed_of(name))
            smaller = self.form.compressed(network, self.config, training)
            self.form.write(smaller, self.output / f"{name}{self.form.suffix}")


def _seed_of(name: str) -> int:
    found = _SEED.search(name)
    if found is None:
        raise ModelUnusable(f"network {name} does not say its seed")
    return int(found[1])
