import json

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from quiet_trainer import trainer
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tangodistill.data.transfer import load_transfer_set, teacher_logits
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.modules import StudentModule, TransferData
from tangodistill.user_error import UserError


def test_the_labelled_set_holds_the_teachers_own_logits(labelled, teacher):
    rows, manifest = load_transfer_set(labelled, labelled=True)
    assert manifest["label_names"] == ["negative", "positive"] and "label" not in rows.column_names
    few = rows[:40]["text"]
    own = TorchEngine.load(teacher).outputs(few, batch_size=8)
    np.testing.assert_allclose(teacher_logits(rows)[:40], own, atol=0.05)  # labelled in bfloat16 where there is any


def test_the_student_learns_the_teacher(student):
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(student),
        AutoTokenizer.from_pretrained(student),
    )
    with torch.inference_mode():
        answers = model(**tokenizer(["a lovely plot", "an awful plot"], padding=True, return_tensors="pt")).logits
    assert answers.argmax(-1).tolist() == [1, 0]
    assert json.loads((student / "metrics.json").read_text())["accuracy"] > 0.9


def test_other_losses_train_too(inputs, dataset, labelled, tmp_path):
    module = StudentModule(
        str(inputs / "glove.txt"), loss="soft_cross_entropy", temperature=2.0, hard_weight=0.5, lr=5e-3
    )
    trainer(tmp_path, max_epochs=1).fit(module, TransferData(dataset, str(labelled), batch_size=32))
    assert json.loads((tmp_path / "metrics.json").read_text())["accuracy"] > 0.8


class Weights(Callback):
    """The newest weights, after each epoch."""

    def __init__(self):
        self.epochs = []

    def on_train_epoch_end(self, trainer, module):
        self.epochs.append({name: weight.clone() for name, weight in module.model.state_dict().items()})


def test_the_last_weights_are_kept_though_the_first_score_as_well(inputs, dataset, labelled, tmp_path):
    L.seed_everything(0)
    weights, module = Weights(), StudentModule(str(inputs / "glove.txt"), lr=5e-3)
    trainer(tmp_path, max_epochs=3, callbacks=[weights]).fit(module, TransferData(dataset, str(labelled)))
    kept = AutoModelForSequenceClassification.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(kept[name], weight) for name, weight in weights.epochs[-1].items())
    assert not torch.equal(kept["classifier.weight"], weights.epochs[0]["classifier.weight"])


def test_the_student_knows_no_more_words_than_it_is_told_to(inputs, dataset, labelled, tmp_path):
    module = StudentModule(str(inputs / "glove.txt"), vocabulary=8)
    module.check_trained = dict  # of so few it learns nothing
    trainer(tmp_path, max_epochs=1).fit(module, TransferData(dataset, str(labelled)))
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert model.get_input_embeddings().num_embeddings == len(AutoTokenizer.from_pretrained(tmp_path)) == 8


def test_vectors_of_another_width_are_taken_when_told(inputs, dataset, labelled, tmp_path):
    lines = (inputs / "glove.txt").read_text().splitlines()
    wide = tmp_path / "wide.vec"
    wide.write_text("\n".join(f"{line} 0.5 -0.5" for line in lines) + "\n")
    module = StudentModule(str(wide), embedding_size=52, lr=5e-3)
    trainer(tmp_path / "student", max_epochs=1).fit(module, TransferData(dataset, str(labelled), batch_size=32))
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "student").config.embedding_size == 52


def test_logits_of_another_tasks_teacher_are_refused(inputs, dataset, labelled, tmp_path):
    other = tmp_path / "label"
    other.mkdir()
    for file in labelled.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**manifest, "label_names": ["no", "yes"]}))
    with pytest.raises(UserError, match=r"teacher's logits for the labels \['no', 'yes'\], but the data has"):
        trainer(tmp_path, max_epochs=1).fit(StudentModule(str(inputs / "glove.txt")), TransferData(dataset, str(other)))


def test_a_set_without_logits_says_what_to_run(inputs, dataset, labelled, tmp_path):
    unlabelled = labelled.parent / "augment"
    with pytest.raises(UserError, match="has no teacher logits. Label it first: 'python -m tangodistill label'"):
        trainer(tmp_path, max_epochs=1).fit(
            StudentModule(str(inputs / "glove.txt")), TransferData(dataset, str(unlabelled))
        )
