"""Attention weights go back to the steps of the batch, and padding gets none."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batches import Padding
from models.config import EncoderConfig, ModelConfig
from models.explanations.attention import attention
from models.explanations.explained import Explained
from models.explanations.integrated_gradients import integrated_gradients
from models.inputs import fit_inputs
from models.network import SequenceNetwork
from tests.models.explanations.explained_examples import batch_of, explained_for
from tests.models.generated_stores import everyone, make_store
from tests.models.test_masking import MAX_STEPS, paddings


def attending() -> Explained:
    store = make_store([9] * 50)
    config = ModelConfig(hidden_size=6, dropout=0.0, encoder=EncoderConfig(kind="attention"))
    networks = []
    for seed in range(2):
        torch.manual_seed(seed)
        scaler = fit_inputs(store, everyone(store), MAX_STEPS)
        network = SequenceNetwork(scaler, config, outputs=1).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.normal_(0.0, 0.3)
        networks.append(network)
    return Explained(networks)


ATTENDING = attending()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(0, 99), paddings)
def test_weights_sum_to_one_over_true_steps_wherever_the_padding_is(
    lengths: list[int], seed: int, padding: Padding
) -> None:
    store = make_store(lengths, seed)
    plain, padded = batch_of(store), batch_of(store, padding)
    expected, found = attention(ATTENDING, plain), attention(ATTENDING, padded)
    assert expected is not None
    assert found is not None
    assert (found[~padded.steps] == 0.0).all()
    ones = torch.tensor([float(length > 0) for length in lengths])
    torch.testing.assert_close(found.sum(dim=1), ones)
    for row in range(len(lengths)):
        torch.testing.assert_close(
            found[row][padded.steps[row]], expected[row][plain.steps[row]], atol=1e-6, rtol=1e-6
        )


def test_an_encoder_without_attention_has_no_weights() -> None:
    assert attention(explained_for(), batch_of(make_store([3]))) is None


def test_contributions_of_an_attending_network_add_up_too() -> None:
    found = integrated_gradients(ATTENDING, batch_of(make_store([5, 0, 8])))
    assert float(found.missing.abs().max()) < 1e-3
