"""What stops a run from outside: a full disk, a place that cannot be written to, Ctrl-C."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_run import SmallRun

from tangodistill.cli import main as cli
from tangodistill.models.load import load_classifier


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return SmallRun(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def teacher(small):
    """A classifier with an untrained head."""
    model, _ = load_classifier(str(small.encoder), ["negative", "positive"])
    folder = shutil.copytree(small.encoder, small.folder / "teacher")
    model.save_pretrained(folder)
    return folder


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's disk that is always full")
def test_a_full_disk_is_told_and_the_same_command_goes_on(small, teacher, refused, tmp_path):
    augment = ["augment", "--dataset.source", small.table, "--rules.draws_per_text=2", "--workers=1"]
    label = ["label", "--transfer_set", tmp_path / "augment", "--teacher", teacher]
    for command in (augment, label):
        output = tmp_path / command[0]
        output.mkdir()
        file = output / "data-00000-of-00001.arrow.partial"
        file.symlink_to("/dev/full")
        assert refused(*command, "--output", output).startswith("No space left on the disk")
        assert not (output / "manifest.json").exists()
        file.unlink()
        assert cli.main([*map(str, command), "--output", str(output)]) == 0
        assert (output / "manifest.json").is_file()


def test_a_place_that_cannot_be_written_to(small, refused, tmp_path):
    told = refused(*small.arguments(small.table))
    assert told == f"Cannot write to {small.table}: File exists. Choose another --out."
    told = refused("augment", "--dataset.source", small.table, "--output", small.table / "below", "--workers=1")
    assert told.startswith(f"{small.table}/below/manifest.json: Not a directory.")


@pytest.mark.parametrize("stage, at_work", [("teacher", "checkpoints"), ("augment", ".shards/*/corpus.arrow")])
def test_ctrl_c_is_one_line(small, tmp_path, stage, at_work):
    out = tmp_path / "out"
    more = ["--set=augment.workers=2", "--set=augment.rules.draws_per_text=300"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tangodistill", *small.arguments(out, *more)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    while not list((out / ".work" / stage).glob(at_work)):
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    shown = process.communicate()[1]
    assert process.returncode == 130 and "Traceback" not in shown, shown
    assert shown.splitlines()[-1] == "Stopped by Ctrl-C. The same command resumes where it was."
