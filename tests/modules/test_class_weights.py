"""Skewed data: what a row of each class counts, in the teacher and in the students."""

import numpy as np
import pytest
import torch
from quiet_trainer import trainer
from torch.nn.functional import cross_entropy

from tangodistill.data.sources import DatasetConfig
from tangodistill.data.transfer import load_transfer_set, teacher_logits
from tangodistill.modules import (
    EncoderStudentModule,
    StudentModule,
    TeacherModule,
    TextData,
    TinyBertModule,
    TransferData,
)
from tangodistill.user_error import UserError


class Losses:
    """The loss of each training step, and what it was computed from."""

    def setup(self, stage):
        super().setup(stage)
        self.seen = []

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        with torch.no_grad():
            self.seen.append((float(loss), batch))
        return loss


@pytest.fixture(scope="module")
def skewed(inputs, tmp_path_factory):
    """A fifth of the table's negative rows, all of its positive ones."""
    header, *rows = (inputs / "data.csv").read_text().splitlines()
    kept = [row for i, row in enumerate(rows) if row.endswith("positive") or i % 10 == 0]
    path = tmp_path_factory.mktemp("skewed") / "data.csv"
    path.write_text("\n".join([header, *kept]) + "\n")
    return DatasetConfig(str(path))


def test_the_teachers_loss_is_weighted_by_label(inputs, skewed, tmp_path):
    class Recorded(Losses, TeacherModule):
        pass

    module = Recorded(str(inputs / "encoder"), lr=0.0, class_weights="balanced")
    module.check_trained = dict
    data = TextData(skewed, batch_size=16)
    trainer(tmp_path, max_steps=2).fit(module, data)
    counts = np.bincount(data.roles.train["label"][:])
    assert counts[0] < counts[1] / 4
    expected = torch.tensor([counts.sum() / (2 * count) for count in counts], dtype=torch.float32)
    module.eval()
    for loss, batch in module.seen:
        with torch.no_grad(), module.autocast():
            rows = cross_entropy(module.task_logits(module.model, batch), batch["labels"], reduction="none")
        weighted = (expected[batch["labels"]] * rows).mean()
        assert loss == pytest.approx(float(weighted), rel=0.1)  # dropout, in training, moves it a little
        assert abs(float(rows.mean()) - float(weighted)) > 0 or len(set(batch["labels"].tolist())) == 2


@pytest.mark.parametrize("kind", [StudentModule, EncoderStudentModule, TinyBertModule])
def test_the_students_loss_is_weighted_by_the_teachers_answer(kind, inputs, dataset, labelled, teacher, tmp_path):
    source = inputs / "glove.txt" if kind is StudentModule else teacher
    module = kind(str(source), class_weights={"positive": 3.0})
    module.check_trained = dict
    data = TransferData(dataset, str(labelled), batch_size=32)
    trainer(tmp_path, max_steps=1).fit(module, data)
    answers = teacher_logits(load_transfer_set(labelled, labelled=True)[0]).argmax(1)
    assert data.class_counts().tolist() == np.bincount(answers).tolist()
    assert module.weights_of(torch.tensor([0, 1, 0])).tolist() == [1.0, 3.0, 1.0]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"fraud": 2.0}, "model.class_weights: no class is called 'fraud'; they are negative, positive."),
        ({"negative": 0.0}, "model.class_weights: negative has the weight 0.0; give a number above 0."),
    ],
)
def test_weights_that_fit_no_class_are_refused(inputs, dataset, tmp_path, weights, message):
    module = TeacherModule(str(inputs / "encoder"), class_weights=weights)
    with pytest.raises(UserError) as error:
        trainer(tmp_path, max_epochs=1).fit(module, TextData(dataset))
    assert str(error.value) == message
