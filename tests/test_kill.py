"""A run that is killed goes on where it was, and ends as one that nothing disturbed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from equal_cascades import assert_equal_cascades
from small_run import SmallRun

# Small shards and frequent checkpoints, so that a small run has a middle to be killed in.
COMMAND = """
import sys
from datetime import timedelta
from tangodistill.cli import main as cli
from tangodistill.augment import labelling
from tangodistill.augment.rules import RulesConfig
from tangodistill.modules import trained
RulesConfig.rows_per_shard = 20
labelling.SHARD_ROWS = 100
trained.CHECKPOINT_EVERY = timedelta(seconds=0.2)
sys.exit(cli.main())
"""
STAGES = ("teacher", "augment", "label", "student", "export", "tune", "cascade", "report")
AT_WORK = {
    "teacher": "checkpoints/*.ckpt",
    "augment": ".shards/*/rules-000003.arrow",
    "label": ".shards/*/000000300.npy",
    "student": "checkpoints/*.ckpt",
    "export": "config.yaml",
    "tune": "config.yaml",
    "cascade": "cascade.json",
    "report": "config.yaml",
}
"""What a stage has written once it is in the middle of its work."""


class KillableRun(SmallRun):
    """Runs that are killed."""

    def start(self, out: Path) -> subprocess.Popen:
        """A run as a process group of its own; it adds what it says to `<out>.log`."""
        command = [sys.executable, "-c", COMMAND, *self.arguments(out)]
        with Path(f"{out}.log").open("a") as log:
            return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    def run(self, out: Path) -> None:
        assert self.start(out).wait() == 0, said(out)

    def kill_in(self, stage: str, out: Path) -> None:
        """Runs until a stage is at work, and kills every process of it."""
        work = out / ".work" / stage
        before = set(work.glob(AT_WORK[stage]))
        process = self.start(out)
        while not set(work.glob(AT_WORK[stage])) - before:
            assert process.poll() is None, said(out)
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, f"{stage} was over before it was killed"
        assert not (out / stage).exists() and (work / "stage.json").is_file()


def said(out: Path) -> str:
    return Path(f"{out}.log").read_text()


def what_became_of_the_stages(out: Path) -> list[tuple[str, str]]:
    """(stage, what it was found to be) of every run in this folder."""
    lines = (line[1:].split("] ") for line in said(out).splitlines() if line.startswith("[") and "done in" not in line)
    return [(stage, "already done" if what.startswith("already done") else what) for stage, what in lines]


def expected(killed: tuple[str, ...]) -> list[tuple[str, str]]:
    """What becomes of the stages where a run is killed in some of them, in their order, and then left in peace."""
    told, done, cut = [], 0, None
    for last in [*map(STAGES.index, killed), len(STAGES) - 1]:
        told += [(stage, "already done") for stage in STAGES[:done]]
        for stage in STAGES[done : last + 1]:
            resumes = "begins again" if stage in ("export", "tune", "cascade", "report") else "resumes"
            told.append((stage, f"was cut off, {resumes}" if stage == cut else "runs"))
        done, cut = last, STAGES[last]
    return told


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a stage that names neither its time nor its place."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in ("stage.json", "config.yaml"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return KillableRun(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def undisturbed(runs):
    runs.run(runs.folder / "undisturbed")
    return runs.folder / "undisturbed"


@pytest.mark.parametrize("stages", [("augment", "student"), pytest.param(STAGES, marks=pytest.mark.slow)])
def test_a_run_killed_again_and_again_ends_as_if_nothing_had_happened(runs, undisturbed, stages):
    out = runs.folder / "-".join(stages)
    for stage in stages:
        runs.kill_in(stage, out)
    runs.run(out)
    assert what_became_of_the_stages(out) == expected(stages)
    for stage in ("teacher", "augment", "label", "student"):
        assert contents(out / stage) == contents(undisturbed / stage), stage
    assert_equal_cascades(out / "cascade", undisturbed / "cascade")
    assert (out / "report" / "report.html").is_file() and not list((out / ".work").iterdir())
