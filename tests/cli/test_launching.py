import doctest
import subprocess
import sys

import pytest

from tangodistill.cli import launching
from tangodistill.recipe.stage import exclusive
from tangodistill.user_error import UserError


def test_doctests():
    assert doctest.testmod(launching).failed == 0


@pytest.mark.parametrize(
    "trainer, several",
    [
        ({"devices": 1}, False),
        ({"devices": 1, "strategy": "auto", "num_nodes": 1}, False),
        ({"devices": 1, "strategy": "ddp"}, True),
        ({"devices": 1, "num_nodes": 2}, True),
        ({"devices": "auto"}, True),
        ({}, True),
    ],
)
def test_only_a_plain_single_device_stays_in_the_process_of_run(trainer, several):
    assert launching.may_start_processes({"trainer": trainer}) is several


def test_a_process_that_fails_has_said_why(capfd):
    with pytest.raises(SystemExit) as stopped:
        launching.run_as_process("nonsense", [])
    assert stopped.value.code == 2
    assert capfd.readouterr().err.startswith("error: Unknown verb 'nonsense'.")


@pytest.mark.parametrize(
    "script, error", [("exit 0", None), ("exit 130", KeyboardInterrupt), ("kill -9 $$", UserError)]
)
def test_how_a_process_ended_is_handed_on(tmp_path, monkeypatch, script, error):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    if error is None:
        launching.run_as_process("fit", [])
    else:
        with pytest.raises(error):
            launching.run_as_process("fit", [])


def test_a_process_that_outlives_run_keeps_its_folder(tmp_path):
    with exclusive(tmp_path):
        process = subprocess.Popen(["sleep", "60"], close_fds=False)
    with pytest.raises(UserError, match="Another run is at work"), exclusive(tmp_path):
        pass
    process.kill()
    process.wait()
    with exclusive(tmp_path):
        pass
