"""Smaller models answer like the trained one, and neither padding nor company moves them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.batches import Padding, assemble
from models.compression.form import CompressionImpossible, Scorer, form_of, predict
from models.compression.onnx_int8 import with_marks
from models.compression.packed import Packer
from models.compression.registry import FORMS
from models.compression.runtime import MARKS, RuntimeNetwork, front_aligned
from models.config import ModelConfig, Scaling
from models.estimator import ModelUnusable
from models.inputs import fit_inputs
from models.network import SequenceNetwork
from models.store import SequenceStore
from models.tasks import task_of
from tests.models.generated_stores import everyone, make_store

MAX_STEPS = 8
# Beside the trained network. Of int8: weights and inputs are rounded to 1/127 of their range.
PARITY = {"onnx": 1e-5, "onnx_int8": 0.1, "torchao_int8": 0.05}
LENGTHS = [4, 0, 6, 2, 9, 1, 7]

paddings = st.builds(
    Padding,
    side=st.sampled_from(["left", "right"]),
    least_steps=st.integers(1, 14),
    value=st.sampled_from([0.0, float("nan"), 1e6, -1e6, float("inf")]),
)


def network_for(store: SequenceStore, **section: object) -> tuple[SequenceNetwork, ModelConfig]:
    """A network whose weights are all away from zero."""
    torch.manual_seed(0)
    config = ModelConfig.model_validate({"hidden_size": 6, "dropout": 0.0} | section)
    scaler = fit_inputs(store, everyone(store), MAX_STEPS, config.scaling)
    outputs = task_of(store.task, store.levels).outputs
    network = SequenceNetwork(scaler, config, outputs).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.3)
    return network, config


def kept(network: SequenceNetwork, config: ModelConfig, form: str, folder: Path) -> Scorer:
    """The network written in a form and read back."""
    made = form_of(form)
    file = folder / f"network{made.suffix}"
    made.write(network, file)
    return made.read(file, network.inputs.scaler, config, network.outputs)


def answers(scorer: Scorer, store: SequenceStore, rows: npt.NDArray[np.int64]) -> torch.Tensor:
    with torch.inference_mode():
        return scorer(assemble(store, rows, max_steps=MAX_STEPS))


@pytest.mark.parametrize("form", PARITY)
@pytest.mark.parametrize("task", ["risk", "volatility", "quantiles"])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_form_answers_like_the_trained_network(
    form: str, task: str, layers: int, tmp_path: Path
) -> None:
    store = make_store(LENGTHS, 3, task)
    network, config = network_for(store, layers=layers)
    scorer = kept(network, config, form, tmp_path)
    tolerance = PARITY[form] * max(1.0, float(answers(network, store, everyone(store)).std()))
    torch.testing.assert_close(
        answers(scorer, store, everyone(store)),
        answers(network, store, everyone(store)),
        rtol=0.0,
        atol=tolerance,
    )


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lengths=st.lists(st.integers(0, 10), min_size=1, max_size=7), seed=st.integers(0, 99))
def test_a_graph_in_float32_equals_torch_whatever_the_lengths(
    kind: str, lengths: list[int], seed: int, tmp_path: Path
) -> None:
    store = make_store(lengths, seed)
    network, config = network_for(store, encoder=kind, layers=2)
    scorer = kept(network, config, "onnx", tmp_path)
    rows = everyone(store)
    torch.testing.assert_close(
        answers(scorer, store, rows), answers(network, store, rows), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("form", ["onnx", "onnx_int8", "torchao_int8"])
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lengths=st.lists(st.integers(0, 10), min_size=1, max_size=7),
    seed=st.integers(0, 99),
    padding=paddings,
)
def test_neither_padding_nor_batch_mates_change_an_answer(
    form: str, lengths: list[int], seed: int, padding: Padding, tmp_path: Path
) -> None:
    store = make_store(lengths, seed)
    network, config = network_for(store)
    scorer = kept(network, config, form, tmp_path)
    alone = torch.cat([answers(scorer, store, np.array([row])) for row in everyone(store)])
    batch = assemble(store, everyone(store), max_steps=MAX_STEPS, padding=padding)
    with torch.inference_mode():
        torch.testing.assert_close(scorer(batch), alone, rtol=1e-6, atol=1e-6)


def test_an_outlier_beside_it_changes_no_bit_of_an_int8_state(tmp_path: Path) -> None:
    """What the marks are for: without them the largest number of a batch is everybody's scale."""
    store = make_store([5, 5])
    network, config = network_for(store)
    scorer = kept(network, config, "onnx_int8", tmp_path)
    assert isinstance(scorer, RuntimeNetwork)
    calm = scorer.pack(store, everyone(store), MAX_STEPS)
    wild = replace(calm, steps=calm.steps.copy())
    wild.steps[:, 1, :-2] *= 40.0
    first, second = (scorer.run(each.steps, each.lengths, each.facts) for each in (calm, wild))
    assert first[1] != pytest.approx(second[1], abs=1e-3)
    # The marks are outshone here, as no caller of ours lets them be: then mates do matter.
    assert first[0] != second[0]
    wild.steps[:, 1, :-2] = wild.steps[:, 1, :-2].clip(-MARKS, MARKS)
    np.testing.assert_array_equal(scorer.run(wild.steps, wild.lengths, wild.facts)[0], first[0])


def test_marks_are_read_by_no_other_unit() -> None:
    from models.compression.graph import layers_of

    torch.manual_seed(0)
    lstm = torch.nn.LSTM(3, 4, 2)
    plain, marked = layers_of(lstm), with_marks(layers_of(lstm))
    assert (marked.input_size, marked.hidden_size, marked.kept) == (5, 6, 4)
    for one, other in zip(plain.layers, marked.layers, strict=True):
        gates = other.weights["W"].reshape(4, 6, -1)
        width = one.weights["W"].shape[2]
        np.testing.assert_array_equal(gates[:, :4, :width].reshape(1, 16, -1), one.weights["W"])
        assert not gates[:, :, width:].any()
        assert not gates[:, 4:].any()
        assert not other.weights["R"].reshape(4, 6, 6)[:, :, 4:].any()


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 10), min_size=1, max_size=9),
    seed=st.integers(0, 99),
    scaling=st.sampled_from(["standard", "robust", "quantile", "log", "none"]),
)
def test_what_is_packed_is_what_the_network_reads(
    lengths: list[int], seed: int, scaling: Scaling
) -> None:
    network, _ = network_for(make_store([4, 7, 1, 9] * 20), scaling=scaling)
    store = make_store(lengths, seed)
    rows = everyone(store)[::-1].copy()
    packed = Packer(network.inputs)(store, rows, MAX_STEPS)
    batch = assemble(store, rows, max_steps=MAX_STEPS)
    inputs, facts = network.inputs(batch)
    steps, counted = front_aligned(inputs, batch.steps)
    np.testing.assert_array_equal(packed.lengths, counted)
    np.testing.assert_allclose(packed.steps, steps, atol=1e-5)
    np.testing.assert_allclose(packed.facts, facts.numpy(), atol=1e-5)


@pytest.mark.parametrize("form", ["onnx", "onnx_int8"])
def test_scoring_a_store_equals_scoring_its_batches(form: str, tmp_path: Path) -> None:
    store = make_store([3, 0, 12, 5, 8, 1] * 30, 5)
    network, config = network_for(store)
    scorer = kept(network, config, form, tmp_path)
    rows = np.array([7, 3, 150, 12, 0, 99])
    found = predict(scorer, store, rows, MAX_STEPS)
    np.testing.assert_allclose(found, answers(scorer, store, rows).numpy(), atol=2e-6)


@pytest.mark.parametrize(
    ("form", "section"),
    [
        ("onnx_int8", {"encoder": "gru"}),
        ("onnx_int8", {"encoder": "rnn"}),
        ("onnx_int8", {"scaling": "none"}),
        ("onnx", {"encoder": {"kind": "lstm", "decay": True}}),
        ("onnx", {"encoder": {"kind": "lstm", "bidirectional": True}}),
        ("onnx", {"head": "hazard"}),
    ],
)
def test_what_has_no_such_form_is_refused(
    form: str, section: dict[str, object], tmp_path: Path
) -> None:
    store = make_store(LENGTHS)
    network, config = network_for(store, **section)
    with pytest.raises(CompressionImpossible):
        kept(network, config, form, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_damaged_or_foreign_file_is_refused(form: str, tmp_path: Path) -> None:
    store = make_store(LENGTHS)
    network, config = network_for(store)
    made = form_of(form)
    file = tmp_path / f"network{made.suffix}"
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelUnusable):
        made.read(file, network.inputs.scaler, config, 1)
    made.write(network, file)
    with pytest.raises(ModelUnusable):
        made.read(file, network.inputs.scaler, config.model_copy(update={"hidden_size": 5}), 3)


def test_a_graph_says_what_it_takes_and_holds_the_same_bytes_twice(tmp_path: Path) -> None:
    store = make_store(LENGTHS)
    network, _ = network_for(store)
    for form in ("onnx", "onnx_int8"):
        for name in ("one", "two"):
            form_of(form).write(network, tmp_path / name)
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
        graph = onnx.load(tmp_path / "one").graph
        assert [each.name for each in graph.input] == ["steps", "lengths", "facts"]
        assert [each.name for each in graph.output] == ["raw"]


def test_a_name_that_is_no_form_is_refused() -> None:
    with pytest.raises(CompressionImpossible, match="no form zip"):
        form_of("zip")
