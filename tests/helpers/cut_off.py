"""A training that is cut off inside an epoch and goes on from its checkpoint, beside an undisturbed one."""

import torch
from lightning.pytorch.callbacks import Callback
from quiet_trainer import trainer
from safetensors.torch import load_file


class Cut(Exception):
    pass


class StopAt(Callback):
    def __init__(self, step, checkpoint):
        self.step, self.checkpoint = step, checkpoint

    def on_train_batch_end(self, runner, *_):
        if runner.global_step == self.step:
            runner.save_checkpoint(self.checkpoint)
            raise Cut


class Recorder:
    """Mixed into a module: which batches it sees; without dropout, whose draws a resumed training can't repeat."""

    def on_fit_start(self):
        super().on_fit_start()
        self.seen = []
        for part in self.model.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0

    def training_step(self, batch, batch_idx):
        self.seen.append(batch["input_ids"].sum().item())
        return super().training_step(batch, batch_idx)


def assert_resumes(build, data, folder):
    """Two epochs, cut off in the second, see the same batches and end with the same weights as two undisturbed ones.

    Args: `build` makes a module that is a `Recorder`, `data` its data module; both for each training anew.
    """

    def run(name, checkpoint=None, stop=None):
        torch.manual_seed(0)
        module = build()
        runner = trainer(folder / name, max_epochs=2, callbacks=[StopAt(stop, folder / "cut.ckpt")])
        try:
            runner.fit(module, data(), ckpt_path=checkpoint)
        except Cut:
            pass
        return module.seen

    whole = run("whole")
    cut = run("rest", stop=len(whole) // 2 + 3)
    assert cut + run("rest", checkpoint=folder / "cut.ckpt") == whole
    left, right = (load_file(folder / name / "model.safetensors") for name in ("whole", "rest"))
    assert all(torch.allclose(left[key], right[key], atol=1e-5) for key in left)
