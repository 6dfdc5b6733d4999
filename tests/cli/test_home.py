import os
import subprocess
import sys
from pathlib import Path

import pytest

from tangodistill.cli import home

NAMELESS = """
import pwd, sys
def nobody(uid):
    raise KeyError(uid)
pwd.getpwuid = nobody
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(home.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(home.tempfile, "mkdtemp", lambda: str(tmp_path / "another"))
    return tmp_path / f"tangodistill-home-{os.getuid()}"


def test_without_home_and_name_every_library_finds_a_place(tmp_path):
    code = f"""{NAMELESS}
from tangodistill.cli import main as cli
code = cli.main(["recipes"])
import getpass, pathlib
print(pathlib.Path.home(), getpass.getuser())
from tangodistill.data.packages import cache_folder
from tangodistill.report.tracking import RunLogger
print(cache_folder())
import wandb
wandb.setup()
sys.exit(code)
"""
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "USER", "LOGNAME")}
    environment |= {"TMPDIR": str(tmp_path), "WANDB_MODE": "offline"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    place = tmp_path / f"tangodistill-home-{os.getuid()}"
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == (
        f"No home folder that can be written to: caches go to {place}. Set HOME to a folder that lasts, "
        "or what is downloaded is lost with this one."
    )
    assert done.stdout.splitlines()[-2:] == [f"{place} uid{os.getuid()}", f"{place}/.cache/tangodistill"]
    assert not (tmp_path / "~").exists()


def test_a_home_that_can_be_written_to_is_left_alone(tmp_path, monkeypatch, capsys):
    for folder in (tmp_path, tmp_path / "to" / "be" / "made"):
        monkeypatch.setenv("HOME", str(folder))
        home.ensure_home()
        assert os.environ["HOME"] == str(folder)
    assert capsys.readouterr().err == ""


def test_a_read_only_home_is_used_where_its_caches_were_filled(tmp_path, monkeypatch, temporary):
    monkeypatch.setenv("USER", "someone")
    monkeypatch.setattr(home.os, "access", lambda path, mode: False)
    filled = tmp_path / "filled"
    (filled / ".cache").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(filled))
    home.ensure_home()
    assert os.environ["HOME"] == str(filled)
    monkeypatch.setenv("HOME", "/")
    home.ensure_home()
    assert os.environ["HOME"] == str(temporary)


def test_another_users_folder_is_not_trusted(tmp_path, monkeypatch, temporary):
    temporary.mkdir()
    monkeypatch.setattr(home.os, "getuid", lambda: int(temporary.name.rpartition("-")[2]))
    assert home._temporary() == temporary
    temporary.rmdir()
    elsewhere = tmp_path / "elsewhere"
    temporary.symlink_to(elsewhere)
    elsewhere.mkdir()
    monkeypatch.setattr(Path, "lstat", lambda path: os.stat_result([0] * 4 + [os.getuid() + 1] + [0] * 5))
    assert home._temporary() == tmp_path / "another"
