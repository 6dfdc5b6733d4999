"""Two processes against one: equal evaluation, equal training up to rounding, and one that measures alone."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from equal_cascades import assert_equal_cascades
from in_processes import work
from quiet_trainer import trainer
from safetensors.torch import load_file
from separable import write_encoder, write_questions, write_roberta
from small_run import SmallRun

from tangodistill.measure import CascadeData, CascadeModule

BLIND = ("qa_outputs.bias", "layer.1.output.LayerNorm.bias")
"""What a span model adds to the logits of all tokens alike: no softmax sees it, so rounding errors move it."""
TWO = {"devices": 2, "strategy": "ddp", "accelerator": "cpu"}


def python(*command) -> tuple[int, str]:
    """Exit code and all that is said by a command that starts a second process; neither may be left."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, start_new_session=True,
    )  # fmt: skip
    said = process.communicate()[0]
    for _ in range(100):  # both are through; the system may need a moment to clear them away
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return process.returncode, said
        time.sleep(0.1)
    raise AssertionError(f"a process of {command} is left")


@pytest.fixture(scope="module")
def folders(inputs, labelled, student, tmp_path_factory):
    """The same work done by one process and by two."""
    write_roberta(inputs / "roberta", tokenizer=inputs / "encoder")
    write_questions(inputs / "questions")
    write_encoder(inputs / "reader", positions=128)
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    work(inputs, student.parent, one)
    code, said = python(Path(__file__).with_name("in_processes.py"), inputs, student.parent, two)
    assert code == 0, said
    return one, two


@pytest.mark.parametrize("name", ["evaluated_teacher", "evaluated_student"])
def test_every_row_counts_once(folders, name):
    one, two = (folder / name for folder in folders)
    assert json.loads((two / "scores.json").read_text()) == json.loads((one / "scores.json").read_text())
    pd.testing.assert_frame_equal(*(pd.read_parquet(folder / "predictions.parquet") for folder in (one, two)))


@pytest.mark.parametrize(
    "name",
    [
        *("encoder", "roberta", "student", "encoder_student", "intermediate"),
        *("tinybert", "dynamic", "span_teacher", "dynamic_span"),
    ],
)
def test_training_is_that_of_one_process_at_the_same_batch_size(folders, name):
    one, two = (folder / f"fitted_{name}" for folder in folders)
    left, right = (load_file(folder / "model.safetensors") for folder in (one, two))
    seen = [key for key in left if "qa_outputs.bias" not in left or not key.endswith(BLIND)]
    assert len(seen) >= len(left) - 2 and all(torch.allclose(left[key], right[key], atol=1e-4) for key in seen)
    scores = [json.loads((folder / "metrics.json").read_text()) for folder in (one, two)]
    assert scores[0] == pytest.approx(scores[1], abs=0.005)
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}


def test_a_cascade_is_equal_but_for_its_times(folders):
    one, two = (folder / "cascade" for folder in folders)
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
    assert_equal_cascades(one, two)
    pd.testing.assert_frame_equal(*(pd.read_parquet(folder / "answers.parquet") for folder in (one, two)))


def test_what_is_timed_has_the_threads_of_one_process(student, teacher, dataset, tmp_path, monkeypatch):
    threads, seen = torch.get_num_threads(), []
    monkeypatch.setattr(CascadeModule, "_measure_protocols", lambda self: seen.append(torch.get_num_threads()))
    try:
        torch.set_num_threads(3)
        module = CascadeModule([str(student), str(teacher)])
        torch.set_num_threads(1)  # as Lightning does where two processes share the cores
        trainer(tmp_path).validate(module, CascadeData(dataset), verbose=False)
    finally:
        torch.set_num_threads(threads)
    assert seen == [3]


def test_a_stage_of_a_run_takes_two_processes(tmp_path):
    small, out = SmallRun(tmp_path), tmp_path / "out"
    two = [f"--set=teacher.trainer.{key}={value}" for key, value in TWO.items()]
    code, said = python("-m", "tangodistill", *small.arguments(out, *two, "--until=teacher"))
    assert code == 0, said
    for once in ("[teacher] runs", "Seed set to 0", "a new head is trained", "[teacher] done in", "Result: "):
        assert said.count(once) == 1, said
    assert "Next," not in said and "distributed" not in said
    assert (out / "teacher" / "model.safetensors").is_file() and not list((out / ".work").iterdir())


def test_an_error_in_two_processes_is_told_once(inputs, tmp_path):
    stage = ["fit", "--model=TeacherModule", f"--model.pretrained={inputs / 'encoder'}"]
    data = ["--data=TextData", f"--data.dataset.source={inputs / 'data.csv'}", "--data.dataset.label_column=mood"]
    two = [f"--trainer.{key}={value}" for key, value in TWO.items()]
    code, said = python("-m", "tangodistill", *stage, *data, *two, f"--trainer.default_root_dir={tmp_path}")
    assert code == 2 and "Traceback" not in said, said
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "no column 'mood'" in errors[0], said
