"""Training the off-ramps: they learn, the backbone keeps its bytes, and a cut-off run goes on where it was."""

import json

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from quiet_trainer import trainer
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

from tangodistill.data.tokenize import load_tokenizer
from tangodistill.models import DeeBertForSequenceClassification
from tangodistill.modules import DeeBertModule, TextData
from tangodistill.user_error import UserError

CLUES = ["a lovely plot", "an awful plot"]


def exits(folder, texts):
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.inference_mode():
        return model.all_exits(**load_tokenizer(folder)(texts, padding=True, return_tensors="pt"))


def test_the_off_ramp_learns(deebert):
    assert exits(deebert, CLUES).argmax(-1).tolist() == [[1, 0], [1, 0]]
    scores = json.loads((deebert / "metrics.json").read_text())
    assert scores["off_ramps_mean_accuracy"] > 0.9 and scores["split"] == "selection" and "accuracy" not in scores
    assert not (deebert / "checkpoints").exists()


def test_the_backbone_keeps_its_bytes_and_every_off_ramp_changes(deebert, teacher):
    weights, own = load_file(deebert / "model.safetensors"), load_file(teacher / "model.safetensors")
    backbone = {name.removeprefix("backbone."): w for name, w in weights.items() if name.startswith("backbone.")}
    assert backbone.keys() == own.keys()
    assert all(backbone[name].numpy().tobytes() == own[name].numpy().tobytes() for name in own)
    start = DeeBertForSequenceClassification.from_classifier(
        AutoModelForSequenceClassification.from_pretrained(teacher)
    )
    ramps = start.off_ramps.state_dict()
    assert ramps and all(not torch.equal(weights[f"off_ramps.{name}"], value) for name, value in ramps.items())


def test_the_backbone_is_in_eval_mode_and_gets_no_gradients(teacher, dataset, tmp_path):
    class Watched(DeeBertModule):
        def training_step(self, batch, batch_idx):
            assert not any(module.training for module in self.model.backbone.modules())
            assert all(off_ramp.dropout.training for off_ramp in self.model.off_ramps)
            batch_loss = super().training_step(batch, batch_idx)
            own = torch.stack([torch.nn.functional.cross_entropy(z, batch["labels"]) for z in self.exits(batch)[:-1]])
            assert own.sum().item() == pytest.approx(batch_loss.item(), rel=0.3)  # another draw of the dropout
            return batch_loss

        def on_after_backward(self):
            assert all(parameter.grad is None for parameter in self.model.backbone.parameters())
            assert all(parameter.grad.any() for parameter in self.model.off_ramps.parameters())

    trainer(tmp_path, max_epochs=2, limit_train_batches=3).fit(Watched(str(teacher)), TextData(dataset))


@pytest.mark.parametrize("checkpoint", ["cut.ckpt", "checkpoints/best.ckpt"])
def test_a_cut_off_run_ends_as_an_undisturbed_one(teacher, dataset, tmp_path, checkpoint):
    class Undropped(DeeBertModule):
        def setup(self, stage):
            super().setup(stage)
            for off_ramp in self.model.off_ramps:
                off_ramp.dropout.p = 0.0

    class Cut(RuntimeError):
        pass

    class StopAt(Callback):
        def on_train_batch_end(self, runner, *_):
            if runner.global_step == 20:
                runner.save_checkpoint(tmp_path / "cut" / "cut.ckpt")
                raise Cut

    def fit(folder, callbacks, path=None):
        torch.manual_seed(0)
        runner = trainer(tmp_path / folder, max_epochs=3, callbacks=callbacks)
        runner.fit(Undropped(str(teacher), lr=1e-3), TextData(dataset, batch_size=32), ckpt_path=path)

    fit("whole", [])
    with pytest.raises(Cut):
        fit("cut", [StopAt()])
    held = torch.load(tmp_path / "cut" / checkpoint, weights_only=True)["state_dict"]
    assert held and all(name.startswith("model.off_ramps.") for name in held)
    fit("cut", [], tmp_path / "cut" / checkpoint)
    left, right = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.allclose(left[name], right[name], atol=1e-6) for name in left)


def test_validate_and_test_read_the_finished_folder(deebert, teacher, dataset):
    runner = trainer(deebert)
    (scores,) = runner.validate(DeeBertModule(str(teacher)), TextData(dataset), verbose=False)
    saved = json.loads((deebert / "metrics.json").read_text())
    assert scores["val/score"] == scores["val/exit1_accuracy"] == pytest.approx(saved["off_ramps_mean_accuracy"])
    (scores,) = runner.test(DeeBertModule(str(teacher)), TextData(dataset), verbose=False)
    assert scores["test/accuracy"] > 0.9 and scores["test/exit1_accuracy"] > 0.9


def test_a_roberta_is_taken_too(inputs, dataset, tmp_path):
    tokenizer = load_tokenizer(inputs / "encoder")
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}
    names = {0: "negative", 1: "positive"}
    config = RobertaConfig(vocab_size=len(tokenizer), pad_token_id=0, type_vocab_size=2, id2label=names, **sizes)
    RobertaForSequenceClassification(config).save_pretrained(tmp_path / "roberta")
    tokenizer.save_pretrained(tmp_path / "roberta")
    module = DeeBertModule(str(tmp_path / "roberta"))
    trainer(tmp_path / "deebert", max_epochs=1, limit_train_batches=2).fit(module, TextData(dataset))
    assert exits(tmp_path / "deebert", CLUES).shape == (3, 2, 2)


def test_an_encoder_without_a_head_is_refused(inputs, dataset, tmp_path):
    with pytest.raises(UserError, match="has no trained classification head for off-ramps to stand beside"):
        trainer(tmp_path, max_epochs=1).fit(DeeBertModule(str(inputs / "encoder")), TextData(dataset))
