import json

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from quiet_trainer import trainer
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tangodistill.data.sources import DatasetConfig
from tangodistill.modules import TeacherModule, TextData
from tangodistill.modules.averaged import average_weights
from tangodistill.user_error import UserError


def test_the_folder_is_a_hugging_face_classifier_with_the_datas_label_names(teacher, dataset):
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(teacher),
        AutoTokenizer.from_pretrained(teacher),
    )
    assert model.config.id2label == {0: "negative", 1: "positive"}
    with torch.inference_mode():
        answers = model(**tokenizer(["a lovely plot", "an awful plot"], padding=True, return_tensors="pt")).logits
    assert answers.argmax(-1).tolist() == [1, 0]


def test_it_tells_its_score_and_leaves_no_checkpoints(teacher):
    scores = json.loads((teacher / "metrics.json").read_text())
    assert scores["accuracy"] > 0.9 and scores["split"] == "selection" and scores["rows"] == 60
    assert not (teacher / "checkpoints").exists()


def test_validate_agrees_with_the_saved_score_and_may_write_the_folder(teacher, dataset, tmp_path):
    runner = trainer(tmp_path)
    (scores,) = runner.validate(TeacherModule(str(teacher), save_validated=True), TextData(dataset), verbose=False)
    saved = json.loads((tmp_path / "metrics.json").read_text())
    assert saved["accuracy"] == pytest.approx(scores["val/accuracy"])
    assert load_file(tmp_path / "model.safetensors").keys() == load_file(teacher / "model.safetensors").keys()


def test_a_teacher_at_chance_stops_the_run(inputs, dataset, tmp_path):
    module = TeacherModule(str(inputs / "encoder"), lr=1e-9)
    with pytest.raises(UserError, match=r"at chance on the selection role: MCC -?0\.\d{3} on 60 rows"):
        trainer(tmp_path, max_epochs=1).fit(module, TextData(dataset))


def test_a_teacher_with_swapped_labels_is_told_apart(teacher, dataset, tmp_path):
    module = TeacherModule(str(teacher), label_names=["positive", "negative"])
    with pytest.raises(UserError, match="label names may be swapped"):
        trainer(tmp_path).validate(module, TextData(dataset), verbose=False)


def test_other_label_names_stop_the_run(teacher, inputs, tmp_path):
    source = tmp_path / "other.csv"
    source.write_text((inputs / "data.csv").read_text().replace("positive", "pos"))
    message = r"the model's labels are \['negative', 'positive'\], but the data's are \['negative', 'pos'\]"
    with pytest.raises(UserError, match=message):
        trainer(tmp_path).validate(TeacherModule(str(teacher)), TextData(DatasetConfig(str(source))), verbose=False)


def test_an_encoder_without_a_head_has_nothing_to_validate(inputs, dataset, tmp_path):
    with pytest.raises(UserError, match="has no trained classification head, so there is nothing to evaluate"):
        trainer(tmp_path).validate(TeacherModule(str(inputs / "encoder")), TextData(dataset), verbose=False)


def test_the_saved_weights_are_the_average_that_was_validated(inputs, dataset, tmp_path):
    module = TeacherModule(str(inputs / "encoder"), lr=2e-3)
    newest = {}

    class Keep(Callback):
        def on_train_end(self, trainer, pl_module):
            newest.update({name: value.clone() for name, value in pl_module.model.state_dict().items()})

    runner = trainer(tmp_path, max_epochs=3, callbacks=[Keep()])
    runner.fit(module, TextData(dataset, batch_size=16))
    saved = load_file(tmp_path / "model.safetensors")
    name = "classifier.weight"
    assert torch.equal(saved[name], module.average.module.state_dict()[name])
    assert not torch.equal(saved[name], newest[name])
    (scores,) = trainer(tmp_path / "again").validate(TeacherModule(str(tmp_path)), TextData(dataset), verbose=False)
    assert scores["val/score"] == pytest.approx(json.loads((tmp_path / "metrics.json").read_text())["accuracy"])


def test_the_average_holds_what_a_training_of_two_steps_learned(inputs, dataset, tmp_path):
    module = TeacherModule(str(inputs / "encoder"), lr=1e-3)
    module.check_trained = dict  # two steps leave it at chance
    trainer(tmp_path, max_steps=2).fit(module, TextData(dataset, batch_size=16))
    name = "encoder.layer.0.output.dense.weight"
    assert not torch.equal(
        load_file(tmp_path / "model.safetensors")[f"bert.{name}"],
        load_file(inputs / "encoder" / "model.safetensors")[name],
    )


def test_the_average_forgets_the_first_weights_and_rests_on_equal_ones():
    average, steps = [torch.zeros(3)], 1000
    for count in range(1, steps):
        average_weights(average, [torch.full((3,), float(count))], torch.tensor(count))
    assert average[0][0] == pytest.approx(0.9 * steps, rel=0.02)  # newest: 999; a tenth of the steps behind
    average_weights(average, [average[0].clone()], torch.tensor(steps))
    assert average[0][0] == pytest.approx(0.9 * steps, rel=0.02)


@pytest.mark.parametrize("checkpoint", ["cut.ckpt", "checkpoints/best.ckpt"])
def test_training_resumes_inside_an_epoch_in_the_same_order(inputs, dataset, tmp_path, checkpoint):
    """Cut off after any batch, the weights end as those of an undisturbed run (dropout is off in this encoder)."""

    class Recorder(TeacherModule):
        def setup(self, stage):
            super().setup(stage)
            self.seen = []
            for module in self.model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0

        def training_step(self, batch, batch_idx):
            self.seen.append(batch["input_ids"].sum().item())
            return super().training_step(batch, batch_idx)

    def fit(folder, checkpoint=None, stop=None):
        torch.manual_seed(0)
        module = Recorder(str(inputs / "encoder"), lr=2e-3)
        runner = trainer(folder, max_epochs=6, callbacks=[StopAt(stop, folder)] if stop else [])
        try:
            runner.fit(module, TextData(dataset, batch_size=16), ckpt_path=checkpoint)
        except KeyboardInterruptedAt:
            pass
        return module.seen

    class KeyboardInterruptedAt(RuntimeError):
        pass

    class StopAt(Callback):
        def __init__(self, step, folder):
            self.step, self.folder = step, folder

        def on_train_batch_end(self, runner, *_):
            if runner.global_step == self.step:
                runner.save_checkpoint(self.folder / "cut.ckpt")
                raise KeyboardInterruptedAt

    whole = fit(tmp_path / "whole")
    cut = fit(tmp_path / "cut", stop=70)
    done = torch.load(tmp_path / "cut" / checkpoint, weights_only=True)["global_step"]
    rest = fit(tmp_path / "cut", checkpoint=tmp_path / "cut" / checkpoint)
    assert cut[:done] + rest == whole
    left, right = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.allclose(left[key], right[key], atol=1e-5) for key in left)
