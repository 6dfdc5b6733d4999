"""Training for any length: the sandwich by hand, what is learned, and a run that is cut off."""

import copy
import json

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from quiet_trainer import trainer
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from tangodistill.data.tokenize import load_tokenizer
from tangodistill.models import DynamicTinyBertForSequenceClassification
from tangodistill.models.length_configuration import smallest
from tangodistill.modules import DynamicTinyBertModule, TransferData
from tangodistill.modules.sandwich import SubNetwork, draw_sub_networks, sandwich_losses
from tangodistill.user_error import UserError

CLUES = ["a lovely plot", "an awful plot"]


def fit(module, folder, dataset, labelled, **settings):
    torch.manual_seed(0)
    runner = trainer(folder, **{"max_epochs": 1} | settings)
    runner.fit(module, TransferData(dataset, str(labelled), batch_size=32))
    return module


@pytest.fixture(scope="module")
def dynamic(teacher, dataset, labelled):
    folder = labelled.parent / "dynamic"
    fit(DynamicTinyBertModule(str(teacher), lr=1e-3), folder, dataset, labelled)
    return folder


def test_every_length_answers(dynamic, dataset):
    model = AutoModelForSequenceClassification.from_pretrained(dynamic)
    assert isinstance(model, DynamicTinyBertForSequenceClassification) and model.config.length_configuration is None
    inputs = load_tokenizer(dynamic)(CLUES, padding=True, return_tensors="pt")
    with torch.inference_mode():
        for lengths in (None, (0.9, 0.7), smallest(2)):
            assert model(**inputs, length_configuration=lengths).logits.argmax(-1).tolist() == [1, 0]
    scores = json.loads((dynamic / "metrics.json").read_text())
    assert scores["accuracy"] > 0.9 and scores["rows"] == 60 and not (dynamic / "checkpoints").exists()
    (tested,) = trainer(dynamic).test(DynamicTinyBertModule("gone"), TransferData(dataset, "gone"), verbose=False)
    assert tested["test/accuracy"] > 0.9


def log_softmax(values):
    values = np.asarray(values, np.float64)
    return values - np.log(np.exp(values).sum(-1, keepdims=True))


@pytest.mark.parametrize("divergence", ["forward", "reverse"])
def test_a_step_is_the_sandwich_by_hand(divergence, teacher, dataset, labelled, tmp_path):
    class Watched(DynamicTinyBertModule):
        def training_step(self, batch, batch_idx):
            for part in self.model.modules():
                if isinstance(part, torch.nn.Dropout):
                    part.p = 0.0
            self.found = super().training_step(batch, batch_idx).item()
            self.seen, self.start, self.subs = batch, copy.deepcopy(self.model), self.draw()
            return super().training_step(batch, batch_idx)

        def autocast(self):
            return torch.autocast("cpu", enabled=False)

    module = fit(Watched(str(teacher), divergence=divergence), tmp_path, dataset, labelled, limit_train_batches=1)
    inputs = {name: module.seen[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    full = module.start(**inputs)
    p_teacher = np.exp(log_softmax(module.seen["teacher_logits"]))
    total = -(p_teacher * log_softmax(full.logits.detach())).sum(-1).mean()
    assert [sub.kept_layers for sub in module.subs][0] == (True, True) and len(module.subs) == 3
    for lengths, kept in module.subs:
        sub = module.start(**inputs, length_configuration=lengths, kept_layers=kept)
        pair = log_softmax(full.logits.detach()), log_softmax(sub.logits.detach())
        one, other = pair if divergence == "forward" else pair[::-1]
        total += (np.exp(one) * (one - other)).sum(-1).mean()
    assert module.found == pytest.approx(total / 4, rel=1e-4)


def test_the_full_network_learns_from_the_task_alone():
    weight = torch.tensor([1.0, -1.0], requires_grad=True)
    sub_weight = torch.tensor([0.5, 0.5], requires_grad=True)

    def answers(network):
        return (weight if network.lengths == (1.0, 1.0) else sub_weight)[None]

    subs = [SubNetwork((0.8, 0.64), (True, True))]
    losses = sandwich_losses(answers, lambda full: (full * torch.tensor([3.0, 5.0])).sum(), subs)
    losses.mean().backward()
    assert losses.shape == (2,) and weight.grad.tolist() == [1.5, 2.5] and sub_weight.grad.any()


def test_layers_are_left_out_of_random_networks_alone():
    drawn = [draw_sub_networks(4, 2, 0.2, np.random.default_rng(seed)) for seed in range(400)]
    assert {tuple(subs[0]) for subs in drawn} == {(smallest(4), (True,) * 4)}
    kept = np.array([sub.kept_layers for subs in drawn for sub in subs[1:]])
    assert kept.mean() == pytest.approx(0.8, abs=0.02)
    assert all(sub.lengths[0] == 1 for subs in drawn for sub in subs[1:] if not sub.kept_layers[0])


def test_a_cut_off_run_ends_as_an_undisturbed_one(teacher, dataset, labelled, tmp_path):
    class Undropped(DynamicTinyBertModule):
        def setup(self, stage):
            super().setup(stage)
            for part in self.model.modules():
                if isinstance(part, torch.nn.Dropout):
                    part.p = 0.0

    class Cut(RuntimeError):
        pass

    class StopAt(Callback):
        def on_train_batch_end(self, runner, *_):
            if runner.global_step == 5:
                runner.save_checkpoint(tmp_path / "cut.ckpt")
                raise Cut

    def run(folder, callbacks, path=None):
        torch.manual_seed(0)
        runner = trainer(tmp_path / folder, max_epochs=1, limit_train_batches=12, callbacks=callbacks)
        data = TransferData(dataset, str(labelled), batch_size=32)
        runner.fit(Undropped(str(teacher), lr=1e-3), data, ckpt_path=path)

    run("whole", [])
    with pytest.raises(Cut):
        run("cut", [StopAt()])
    run("cut", [], tmp_path / "cut.ckpt")
    left, right = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.allclose(left[name], right[name], atol=1e-6) for name in left)


def test_a_student_that_is_no_bert_is_refused(student, dataset, labelled, tmp_path):
    with pytest.raises(UserError, match="is a bilstm model; a Dynamic-TinyBERT starts from a BERT"):
        fit(DynamicTinyBertModule(str(student)), tmp_path, dataset, labelled)
