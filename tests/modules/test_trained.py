"""The trainer's own options, as a user knows them: they work, or one error names the key."""

import pytest
from lightning.pytorch.plugins import MixedPrecision
from quiet_trainer import trainer
from safetensors.torch import load_file

from tangodistill.modules import StudentModule, TeacherModule, TextData, TransferData
from tangodistill.user_error import UserError


@pytest.mark.parametrize("option", ["max_epochs", "max_steps", "limit_train_batches", "limit_val_batches"])
def test_a_training_of_nothing_is_refused(inputs, dataset, tmp_path, option):
    with pytest.raises(UserError) as error:
        trainer(tmp_path, **{option: 0}).fit(TeacherModule(str(inputs / "encoder")), TextData(dataset))
    assert str(error.value) == (
        f"trainer.{option} is 0: no model can be made so. Leave it out, or give a number above 0."
    )
    assert not (tmp_path / "config.json").exists()


def test_half_precision_on_the_cpu_is_refused(inputs, dataset, tmp_path):
    with pytest.raises(UserError, match="trainer.precision is 16-true, which CPUs do not train in. Give bf16-mixed"):
        trainer(tmp_path, precision="16-true").fit(TeacherModule(str(inputs / "encoder")), TextData(dataset))


@pytest.mark.parametrize("kind", [TeacherModule, StudentModule])
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_other_precisions_train_with_clipping(inputs, dataset, labelled, tmp_path, kind, precision):
    teacher = kind is TeacherModule
    module = kind(str(inputs / ("encoder" if teacher else "glove.txt")))
    module.check_trained = dict
    data = TextData(dataset) if teacher else TransferData(dataset, str(labelled))
    runner = trainer(tmp_path, max_steps=3, precision=precision, gradient_clip_val=1.0)
    runner.fit(module, data)
    assert isinstance(runner.precision_plugin, MixedPrecision) == (precision == "bf16-mixed")
    assert load_file(tmp_path / "model.safetensors")
