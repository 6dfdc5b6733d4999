import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ProgressBar, TQDMProgressBar
from torch.utils.data import DataLoader

from tangodistill import progress
from tangodistill.cli.progress_bar import TrainerProgress
from tangodistill.cli.trainer import TrainerCLI


class Line(L.LightningModule):
    """Fits a line; nothing is to be seen but how far it is."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).square().mean()
        self.log("train/loss", torch.tensor(0.5), prog_bar=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/score", torch.tensor(0.75), prog_bar=True, batch_size=1)

    test_step = validation_step

    def predict_step(self, batch, batch_idx):
        return self.layer(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(folder, **settings):
    quiet = {"logger": False, "enable_model_summary": False, "enable_checkpointing": False, "accelerator": "cpu"}
    return L.Trainer(default_root_dir=folder, callbacks=[TrainerProgress()], log_every_n_steps=1, **quiet, **settings)


@pytest.fixture
def rows():
    return DataLoader(torch.ones(6, 1), batch_size=2)


@pytest.fixture
def every_step(monkeypatch):
    """A line for each step; the threads beside are left out."""
    monkeypatch.setattr(progress, "LINE_S", 0.0)
    monkeypatch.setattr(progress.Progress, "_watch", lambda self: None)
    monkeypatch.setattr(progress, "pace", lambda done, total, *_: f"{done} of {total}")
    monkeypatch.setattr(progress, "SHORT_S", 0.0)
    monkeypatch.setattr(progress, "duration", lambda seconds: "no time")


def test_a_training_is_one_row_of_lines_without_frames(tmp_path, rows, every_step, capfd):
    trainer(tmp_path, max_epochs=2).fit(Line(), rows, rows)
    first = "train/loss 0.5"
    steps = [(1, f"epoch 1 of 2, {first}"), (2, f"epoch 1 of 2, {first}"), (3, f"epoch 1 of 2, {first}")]
    steps += [(3, "validation")] * 3 + [(4, "epoch 2 of 2"), (5, "epoch 2 of 2"), (6, "epoch 2 of 2")]
    steps += [(6, "validation")] * 3
    shown = [line for line in capfd.readouterr().out.splitlines() if line.startswith(("train", "validate"))]
    assert len(shown) == len(steps) + 1 and shown[-1].startswith("train: 6 of 6 in no time, epoch 2 of 2, ")
    for line, (done, note) in zip(shown, steps, strict=False):
        assert line.startswith(f"train: {done} of 6, {note}")


@pytest.mark.parametrize("verb, batches", [("validate", 3), ("test", 3), ("predict", 3)])
def test_an_evaluation_by_itself_has_lines_of_its_own(tmp_path, rows, every_step, capfd, verb, batches):
    getattr(trainer(tmp_path), verb)(Line(), rows)
    shown = [line for line in capfd.readouterr().out.splitlines() if line.startswith(verb)]
    assert shown == [*(f"{verb}: {i} of {batches}" for i in (1, 2, 3)), f"{verb}: 3 of 3 in no time"]


def test_steps_limit_the_batches(tmp_path, rows, every_step, capfd):
    trainer(tmp_path, max_steps=2, accumulate_grad_batches=2, num_sanity_val_steps=0).fit(Line(), rows)
    assert "train: 1 of 4, " in capfd.readouterr().out


def test_a_module_that_times_after_its_pass_has_no_bar_beside_it(tmp_path, rows, every_step):
    bar = TrainerProgress()

    class Timed(Line):
        def on_validation_epoch_end(self):
            assert bar._bar is None
            self.timed = True

    module, quiet = Timed(), {"logger": False, "enable_model_summary": False, "enable_checkpointing": False}
    L.Trainer(default_root_dir=tmp_path, callbacks=[bar], accelerator="cpu", **quiet).validate(module, rows)
    assert module.timed


@pytest.mark.parametrize(
    "settings, kinds",
    [
        ({}, [TrainerProgress]),
        ({"enable_progress_bar": False}, []),
        ({"callbacks": [TQDMProgressBar()]}, [TQDMProgressBar]),
    ],
)
def test_the_trainers_verbs_have_it_unless_another_or_none_is_asked_for(settings, kinds):
    cli = TrainerCLI.__new__(TrainerCLI)
    cli.save_config_callback, cli.trainer_defaults, cli.trainer_class = None, {}, L.Trainer
    made = cli._instantiate_trainer({"callbacks": None, "logger": False, "accelerator": "cpu", **settings}, [])
    assert [type(callback) for callback in made.callbacks if isinstance(callback, ProgressBar)] == kinds
