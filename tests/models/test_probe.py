import pytest
import torch
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

from tangodistill.models.probe import probe

SIZES = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 32, "vocab_size": 40}


@pytest.fixture(params=[(BertModel, BertConfig), (RobertaModel, RobertaConfig)], ids=["bert", "roberta"])
def encoder(request):
    model, config = request.param
    torch.manual_seed(0)
    return model(config(**SIZES, max_position_embeddings=20, initializer_range=0.3)).eval()


@pytest.fixture
def inputs():
    """Texts of 7, 4 and 1 tokens."""
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] + [0] * 6])
    ids = torch.randint(4, 40, (3, 7), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids.where(mask == 1, 1), "attention_mask": mask}


def plain_scores(encoder, layer, states):
    """QKᵀ/√d_h, head by head, from the layer's own projections."""
    attention = encoder.encoder.layer[layer - 1].attention.self
    query, key = attention.query(states), attention.key(states)
    width = query.shape[2] // attention.num_attention_heads
    pieces = zip(query.split(width, 2), key.split(width, 2), strict=True)
    return torch.stack([q @ k.transpose(1, 2) / width**0.5 for q, k in pieces], 1)


def test_hidden_states_are_the_models_own(encoder, inputs):
    own = encoder(**inputs, output_hidden_states=True).hidden_states
    read = probe(encoder, inputs, [1, 2, 3])
    assert len(read.hidden) == 4
    tokens = inputs["attention_mask"] == 1
    for found, expected in zip(read.hidden, own, strict=True):
        torch.testing.assert_close(found[tokens], expected[tokens], atol=1e-5, rtol=0)


def test_scores_are_those_of_the_layers_own_projections(encoder, inputs):
    own = encoder(**inputs, output_hidden_states=True).hidden_states
    read = probe(encoder, inputs, [1, 2, 3])
    tokens = inputs["attention_mask"] == 1
    for layer, found in enumerate(read.scores, 1):
        expected = plain_scores(encoder, layer, own[layer - 1])
        assert found.shape == (3, 3, 7, 7)
        pairs = (tokens[:, None, :, None] & tokens[:, None, None, :]).expand_as(found)
        torch.testing.assert_close(found[pairs], expected[pairs], atol=1e-5, rtol=0)


def test_chosen_layers_alone_are_read(encoder, inputs):
    every, few = probe(encoder, inputs, [1, 2, 3]), probe(encoder, inputs, [1, 3])
    torch.testing.assert_close(few.scores, [every.scores[0], every.scores[2]], atol=1e-5, rtol=0)
    torch.testing.assert_close(few.hidden, [every.hidden[i] for i in (0, 1, 3)], atol=1e-5, rtol=0)


def test_the_encoder_goes_on_as_before(encoder, inputs):
    tokens = inputs["attention_mask"] == 1
    before = encoder(**inputs).last_hidden_state
    probe(encoder, inputs, [2])
    torch.testing.assert_close(encoder(**inputs).last_hidden_state[tokens], before[tokens], atol=1e-5, rtol=0)


def test_gradients_are_those_of_eager_attention(encoder, inputs):
    def gradients(last):
        encoder.zero_grad()
        (last * inputs["attention_mask"][:, :, None]).square().sum().backward()
        return {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}

    found = gradients(probe(encoder, inputs, [1, 2, 3]).hidden[-1])
    encoder.set_attn_implementation("eager")
    torch.testing.assert_close(found, gradients(encoder(**inputs).last_hidden_state), atol=1e-4, rtol=1e-4)


def test_train_mode_drops_out_attention_and_the_scores_carry_gradients(encoder, inputs):
    encoder.train()
    torch.manual_seed(0)
    first = probe(encoder, inputs, [1, 2, 3])
    second = probe(encoder, inputs, [1, 2, 3])
    assert not torch.allclose(first.hidden[-1], second.hidden[-1])
    first.scores[0].sum().backward()
    assert encoder.encoder.layer[0].attention.self.query.weight.grad.abs().sum() > 0
    with torch.no_grad():
        assert not probe(encoder, inputs, [1]).scores[0].requires_grad
