"""Speed, size, AUROC and group gaps of each form of a model, beside the trained one, in one run.

    equipoise run nafld_diabetes; for each form: equipoise compress nafld_diabetes --form FORM
    python -m benchmarks.compressed_models nafld_diabetes        tells the artefacts made
    python -m benchmarks.compressed_models --wide                random weights, hidden size 128

Sequences per CPU-second are medians of seven passes over all examples, the ways taken in turn in
each pass, one thread. "batches" reads padded batches by models/inputs.py, "packed" reads the store
by models/compression/packed.py; torch is shown both ways, so that what the integers bring is not
mistaken for what the reading does.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np
import torch

from models.batches import Rows, assemble, plan_batches
from models.compression.form import form_of, predict
from models.compression.packed import Packer
from models.compression.registry import FORMS, TRAINED
from models.compression.runtime import TOKENS, RuntimeNetwork
from models.config import ModelConfig
from models.encoders.encoder import Sequences
from models.estimator import Model, new_network, read_network
from models.inputs import fit_inputs
from models.loop import predict_raw
from models.network import SequenceNetwork
from models.networks import use_threads
from models.scaling import Scaler
from models.store import SequenceStore
from models.tasks import task_of

PASSES = 7
CPU = torch.device("cpu")
Way = Callable[[], object]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", nargs="?")
    parser.add_argument("--wide", action="store_true", help="hidden size 128, random weights")
    asked = parser.parse_args()
    use_threads(1)
    if asked.wide:
        tell_speeds(*wide())
    else:
        tell_study(asked.study)


# ---- speed -------------------------------------------------------------------------------------


def tell_speeds(
    store: SequenceStore, network: SequenceNetwork, scaler: Scaler, config: ModelConfig
) -> None:
    """Sequences per CPU-second of a network by torch and by ONNX Runtime, and its parts."""
    rows, steps = np.arange(len(store)), config.max_steps
    with tempfile.TemporaryDirectory() as folder:
        graphs: dict[str, RuntimeNetwork] = {}
        for form in ("onnx", "onnx_int8"):
            file = Path(folder) / form
            form_of(form).write(network, file)
            read = form_of(form).read(file, scaler, config, network.outputs)
            graphs[form] = cast(RuntimeNetwork, read)
        ways: dict[str, Way] = {
            "torch float32, batches": lambda: predict_raw(network, store, rows, steps, CPU),
            "torch float32, packed": lambda: packed_torch(network, store, rows, steps),
            "ONNX float32, batches": lambda: batches(graphs["onnx"], store, rows, steps),
            "ONNX float32, packed": lambda: graphs["onnx"].predict(store, rows, steps),
            "ONNX int8, batches": lambda: batches(graphs["onnx_int8"], store, rows, steps),
            "ONNX int8, packed": lambda: graphs["onnx_int8"].predict(store, rows, steps),
            "packing alone": lambda: packing(graphs["onnx_int8"].pack, store, rows, steps),
        }
        seconds = timed(ways)
    lengths = store.lengths.clip(max=steps)
    print(
        f"{len(store):,} sequences, median {np.median(lengths):g} steps, hidden"
        f" {config.hidden_size}, inputs {network.inputs.step_size}, one thread"
    )
    slowest = seconds["torch float32, batches"]
    for name, took in seconds.items():
        print(f"{name:24} {len(store) / took:9,.0f} sequences/CPU-s  {slowest / took:5.2f}x")


def batches(network: RuntimeNetwork, store: SequenceStore, rows: Rows, steps: int) -> None:
    """Through padded batches, as a trained network reads them."""
    for chosen in plan_batches(store.lengths.clip(max=steps), rows, tokens=TOKENS):
        network(assemble(store, chosen, max_steps=steps))


@torch.inference_mode()
def packed_torch(network: SequenceNetwork, store: SequenceStore, rows: Rows, steps: int) -> None:
    """torch's own arithmetic on what is packed for a graph."""
    pack = Packer(network.inputs)
    for chosen in plan_batches(store.lengths.clip(max=steps), rows, tokens=TOKENS):
        packed = pack(store, chosen, steps)
        inputs = torch.from_numpy(packed.steps).transpose(0, 1)
        position = torch.arange(inputs.shape[1]).expand(inputs.shape[:2])
        true = position < torch.from_numpy(packed.lengths).unsqueeze(1)
        none = inputs.new_zeros(())
        network.answer(Sequences(inputs, none, true, position), torch.from_numpy(packed.facts))


def packing(pack: Packer, store: SequenceStore, rows: Rows, steps: int) -> None:
    for chosen in plan_batches(store.lengths.clip(max=steps), rows, tokens=TOKENS):
        pack(store, chosen, steps)


def timed(ways: Mapping[str, Way]) -> dict[str, float]:
    """Median CPU seconds of each; taken in turn, so that a busy neighbour slows all alike."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(PASSES + 1):
        for name, way in ways.items():
            began = time.process_time()
            way()
            if number:  # the first pass warms up
                found[name].append(time.process_time() - began)
    return {name: median(seconds) for name, seconds in found.items()}


def wide() -> tuple[SequenceStore, SequenceNetwork, Scaler, ModelConfig]:
    """4,000 sequences of log-normal length, median 20; a network of hidden size 128."""
    from tests.models.generated_stores import make_store

    random = np.random.default_rng(0)
    lengths = np.exp(random.normal(np.log(20.0), 0.9, 4_000)).clip(1, 256).astype(int)
    store, config = make_store(lengths.tolist()), ModelConfig(hidden_size=128)
    scaler = fit_inputs(store, np.arange(2_000), config.max_steps)
    torch.manual_seed(0)
    return store, new_network(scaler, config, 1).eval(), scaler, config


# ---- a study -----------------------------------------------------------------------------------


def tell_study(study: str) -> None:
    """All forms of the study's newest trained model that were audited."""
    from pipelines.compression import COMPRESSED, newest_trained
    from pipelines.journal import read_entries
    from pipelines.stage import open_inputs, store

    was = newest_trained(study)
    folders = open_inputs({"sequences": was.sequences, "model": was.model})
    sequences, words = SequenceStore.open(folders["sequences"]), Model.read(folders["model"])
    outputs = task_of(sequences.task, sequences.levels).outputs
    file = folders["model"] / f"{words.released.networks[0]}.safetensors"
    scaler = words.released.scaler
    network = read_network(file, scaler, words.config, outputs)
    tell_speeds(sequences, network, scaler, words.config)
    print()
    audits = {}
    for entry in read_entries(study):
        if entry.stage == "audit_model":
            inputs = store().manifest(entry.key)["recipe"]["inputs"]
            recipe = store().manifest(inputs["model"])["recipe"]
            is_smaller = recipe["stage"] == COMPRESSED and recipe["inputs"]["model"] == was.model
            if inputs["model"] == was.model or is_smaller:
                form = recipe["config"]["form"] if is_smaller else TRAINED
                audits[form] = (store().path(inputs["model"]), store().path(entry.key))
    tell_scoring(sequences, {form: model for form, (model, _) in audits.items()})
    for form, (_, audit) in audits.items():
        tell_audit(form, json.loads((audit / "evidence.json").read_text()))


def tell_scoring(sequences: SequenceStore, models: Mapping[str, Path]) -> None:
    """Bytes and sequences per CPU-second of the first network of each form, as it is scored."""
    rows, ways, sizes = np.arange(len(sequences)), dict[str, Way](), {}
    for form, folder in models.items():
        words = Model.read(folder)
        outputs = task_of(sequences.task, sequences.levels).outputs
        suffix = ".safetensors" if form == TRAINED else form_of(form).suffix
        file = folder / f"{words.released.networks[0]}{suffix}"
        args = (file, words.released.scaler, words.config, outputs)
        scorer = read_network(*args) if form == TRAINED else form_of(form).read(*args)
        steps, sizes[form] = words.config.max_steps, file.stat().st_size
        ways[form] = partial(predict, scorer, sequences, rows, steps)
    seconds = timed(ways)
    for form, took in seconds.items():
        faster = seconds[TRAINED] / took
        rate = len(sequences) / took
        print(f"{form:17} {sizes[form]:7,} bytes {rate:9,.0f} sequences/CPU-s {faster:5.2f}x")


def tell_audit(form: str, evidence: Mapping[str, Any]) -> None:
    """AUROC with its interval, what the form changed, and the verdict."""
    print(f"\n{form}: {evidence['gate']['verdict']}, {FORMS[form].words if form in FORMS else ''}")
    for population in evidence["populations"]:
        auroc = population["overall"]["metrics"]["auroc"]
        print(
            f"  {population['population']}: AUROC {auroc['value']:.4f}"
            f" [{auroc['low']:.4f}, {auroc['high']:.4f}]"
        )
    for population in (evidence["compression"] or {"populations": ()})["populations"]:
        change = population["overall"]["auroc"]
        print(f"  {population['population']}: AUROC changed by {_interval(change)}")
        for metric in ("tpr", "fpr", "auroc"):
            told = [g for g in population["gaps"] if g["metric"] == metric]
            bounds = [g["worsening"] for g in told if g["worsening"] is not None]
            if bounds:
                worst = max(bounds)
                print(
                    f"    {metric}: {len(bounds)} of {len(told)} gaps told, worst bound {worst:.4f}"
                )
    for reason in evidence["gate"]["reasons"]:
        print(f"  {reason}")


def _interval(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return str(found["reason"])
    return f"{found['value']:+.5f} [{found['low']:+.5f}, {found['high']:+.5f}]"


if __name__ == "__main__":
    main()
