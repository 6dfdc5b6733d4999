"""The BiLSTM: its size, its independence of the batch, and its life as a Hugging Face model."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForSequenceClassification

from tangodistill.models import BiLSTMConfig, BiLSTMForSequenceClassification

WORDS = 30
texts = st.lists(st.lists(st.integers(1, WORDS - 1), min_size=1, max_size=12), min_size=1, max_size=64)


def build(**sizes) -> BiLSTMForSequenceClassification:
    torch.manual_seed(0)
    return BiLSTMForSequenceClassification(BiLSTMConfig(**sizes)).eval()


@pytest.fixture(scope="module")
def model() -> BiLSTMForSequenceClassification:
    return build(vocab_size=WORDS)


def padded(rows: list[list[int]], width: int, fill: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.tensor([row + [fill] * (width - len(row)) for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])


@torch.inference_mode()
def logits(model, *inputs, **named) -> torch.Tensor:
    return model(*inputs, **named).logits


def test_parameter_count_is_the_papers_685k():
    assert sum(parameter.numel() for parameter in build().parameters()) == 684_922


def test_starts_with_an_empty_padding_row_and_torchs_own_initial_weights():
    model = build()
    assert model.embedding.weight[0].eq(0).all()
    assert model.embedding.weight[1:].std().item() == pytest.approx(1, abs=0.01)
    assert model.lstm.weight_ih_l0.abs().max() <= 1 / 8  # uniform within 1/sqrt(hidden)


@settings(max_examples=40, deadline=None)
@given(rows=texts, extra=st.integers(0, 5), fill=st.integers(0, WORDS - 1))
def test_alone_and_in_any_batch_the_answer_is_the_same(model, rows, extra, fill):
    together = logits(model, *padded(rows, max(map(len, rows)) + extra, fill))
    alone = torch.cat([logits(model, torch.tensor([row])) for row in rows])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


@settings(max_examples=20, deadline=None)
@given(rows=texts, seed=st.integers(0, 99))
def test_order_of_the_batch_does_not_matter(model, rows, seed):
    ids, mask = padded(rows, 12)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    shuffled = logits(model, ids[order], mask[order])
    torch.testing.assert_close(shuffled, logits(model, ids, mask)[order], atol=1e-6, rtol=0)


def test_plain_and_packed_path_give_the_same_gradients(model):
    ids, mask = padded([[3, 4, 5], [6, 7, 8]], 3)
    wider, wider_mask = padded([[3, 4, 5], [6, 7, 8]], 5)
    gradients = []
    for inputs in ((ids, mask), (wider, wider_mask)):
        model.zero_grad()
        model(*inputs, labels=torch.tensor([0, 1])).loss.backward()
        gradients.append(model.lstm.weight_hh_l0.grad.clone())
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)


def test_reads_both_ends_of_a_text(model):
    base = logits(model, torch.tensor([[5, 6, 7, 8]]))
    assert not torch.allclose(base, logits(model, torch.tensor([[9, 6, 7, 8]])), atol=1e-6)
    assert not torch.allclose(base, logits(model, torch.tensor([[5, 6, 7, 9]])), atol=1e-6)


def test_rows_without_tokens_are_answered(model):
    empty = logits(model, torch.zeros(2, 0, dtype=torch.long), torch.zeros(2, 0, dtype=torch.long))
    ids, mask = padded([[], [4, 5]], 2)
    assert empty.isfinite().all()
    torch.testing.assert_close(logits(model, ids, mask)[0], empty[0], atol=1e-6, rtol=0)


def test_dropout_works_in_training_only(model):
    ids = torch.tensor([[4, 5, 6]])
    assert torch.equal(logits(model, ids), logits(model, ids))
    assert not torch.equal(logits(model.train(), ids), logits(model, ids))
    model.eval()


def test_loss_is_cross_entropy(model):
    output = model(torch.tensor([[4, 5], [6, 7]]), labels=torch.tensor([1, 0]))
    expected = -output.logits.log_softmax(1)[[0, 1], [1, 0]].mean()
    torch.testing.assert_close(output.loss, expected)


def test_auto_classes_load_what_was_saved(tmp_path):
    names = ["negative", "neutral", "positive"]
    saved = build(
        vocab_size=WORDS, embedding_size=6, hidden_size=5, ffn_size=4, num_layers=1, dropout=0.3,
        id2label=dict(enumerate(names)), label2id={name: index for index, name in enumerate(names)},
    )  # fmt: skip
    saved.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert isinstance(loaded, BiLSTMForSequenceClassification)
    config = AutoConfig.from_pretrained(tmp_path)
    assert (config.hidden_size, config.dropout, list(config.id2label.values())) == (5, 0.3, names)
    ids = torch.tensor([[4, 5, 6]])
    assert torch.equal(logits(loaded, ids), logits(saved, ids))


def test_truncated_weights_do_not_load(tmp_path):
    build(vocab_size=WORDS).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    with pytest.raises(Exception, match="(?i)safetensor|header|metadata|incomplete"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path)


def test_embedding_can_be_replaced(model):
    changed = build(vocab_size=WORDS)
    changed.set_input_embeddings(torch.nn.Embedding.from_pretrained(torch.zeros(WORDS, 50)))
    ids = torch.tensor([[4, 5]])
    assert torch.equal(logits(changed, ids), logits(changed, ids + 3))
