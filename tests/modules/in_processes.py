"""The same work in one process (as a function) or in two (as a script, which Lightning starts a second time)."""

import json
import shutil
import sys
from pathlib import Path

import lightning as L
import torch
from quiet_trainer import trainer

from tangodistill.data.sources import DatasetConfig
from tangodistill.measure import CascadeData, CascadeModule
from tangodistill.modules import (
    DynamicSpanModule,
    DynamicTinyBertModule,
    EncoderStudentModule,
    SpanData,
    SpanTeacherModule,
    StudentModule,
    TeacherModule,
    TextData,
    TinyBertIntermediateModule,
    TinyBertModule,
    TransferData,
)

BATCH = 13  # evaluation in 3 batches of the 60 rows, training in batches of odd sizes


class Reproducible:
    """A module in full precision without dropout, which is saved whatever it learned."""

    def setup(self, stage):
        super().setup(stage)
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0

    def autocast(self):
        return torch.autocast("cpu", enabled=False)

    def check_trained(self):
        return {}


class Teacher(Reproducible, TeacherModule):
    pass


class Student(Reproducible, StudentModule):
    pass


class EncoderStudent(Reproducible, EncoderStudentModule):
    pass


class Intermediate(Reproducible, TinyBertIntermediateModule):
    def place_teacher(self):
        """It stays in full precision too."""


class TinyBert(Reproducible, TinyBertModule):
    pass


class DynamicTinyBert(Reproducible, DynamicTinyBertModule):
    pass


class SpanTeacher(Reproducible, SpanTeacherModule):
    pass


class DynamicSpan(Reproducible, DynamicSpanModule):
    def on_fit_start(self):
        """The teacher stays in full precision too."""
        super(DynamicSpanModule, self).on_fit_start()


def work(inputs: Path, run: Path, out: Path, **processes) -> None:
    """Evaluates, trains and measures what a small run has made, each into a folder of its own below `out`."""
    dataset = DatasetConfig(str(inputs / "data.csv"))
    evaluate(TeacherModule(str(run / "teacher")), TextData(dataset, BATCH), out / "evaluated_teacher", **processes)
    folder = out / "evaluated_student"
    if not folder.exists():
        shutil.copytree(run / "student", folder, dirs_exist_ok=True)
    student = StudentModule(str(inputs / "glove.txt"))
    evaluate(student, TransferData(dataset, str(run / "label"), BATCH), folder, **processes)

    for name in ("encoder", "roberta"):
        fit(Teacher(str(inputs / name), lr=2e-3), TextData(dataset, BATCH), out / f"fitted_{name}", **processes)
    tiny = Intermediate(str(run / "teacher"), layers=1, hidden=16, heads=2, intermediate=32, lr=1e-3)
    students = {
        "fitted_student": Student(str(inputs / "glove.txt"), dropout=0, lr=5e-3),
        "fitted_encoder_student": EncoderStudent(str(inputs / "roberta"), layers=[2], lr=1e-3),
        "fitted_intermediate": tiny,
        "fitted_tinybert": TinyBert(str(out / "fitted_intermediate"), lr=1e-3),
        "fitted_dynamic": DynamicTinyBert(str(run / "teacher"), lr=1e-3),
    }
    for name, student in students.items():
        fit(student, TransferData(dataset, str(run / "label"), BATCH), out / name, **processes)

    questions = DatasetConfig(str(inputs / "questions"), task="squad")
    reader = out / "fitted_span_teacher"
    fit(SpanTeacher(str(inputs / "reader"), lr=2e-3), SpanData(questions, BATCH), reader, **processes)
    dynamic = DynamicSpan(str(inputs / "reader"), str(reader), lr=1e-3)  # from itself it would learn rounding errors
    fit(dynamic, SpanData(questions, BATCH), out / "fitted_dynamic_span", **processes)

    measuring = trainer(out / "cascade", **processes)
    cascade = CascadeModule([str(run / "student"), str(run / "teacher")], repeats=1)
    measuring.validate(cascade, CascadeData(dataset, batch_size=50), verbose=False)
    measuring.predict(cascade, CascadeData(dataset, batch_size=50))


def fit(module, data, folder, **processes) -> None:
    """Two short epochs; a second one, because training goes on after a validation of uneven shares."""
    L.seed_everything(0, verbose=False)
    short = {"max_epochs": 2, "limit_train_batches": 6, "gradient_clip_val": 1.0}
    trainer(folder, **short, **processes).fit(module, data)


def evaluate(module, data, folder, **processes) -> None:
    runner = trainer(folder, **processes)
    scores = [evaluate(module, data, verbose=False) for evaluate in (runner.validate, runner.test)]
    runner.predict(module, data, return_predictions=False)
    if runner.is_global_zero:
        (folder / "scores.json").write_text(json.dumps(scores))


if __name__ == "__main__":
    work(*map(Path, sys.argv[1:]), devices=2, strategy="ddp")
