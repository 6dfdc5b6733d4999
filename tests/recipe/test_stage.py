import errno
import json
import os
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tangodistill.recipe.stage import StageFolder, StageRecord, content_hash, exclusive, read_record, write_record
from tangodistill.user_error import UserError


def record(lr=0.1, data="d1"):
    return StageRecord("student", "fit", {"model.lr": lr}, {"dataset": data})


def finished(out, content="new", **changes):
    """A stage made from start to end; its folder holds `content`."""
    folder, wanted = StageFolder(out, "student"), record(**changes)
    folder.begin(wanted, resumes=False)
    (folder.work / "weights").write_text(content)
    folder.finish(wanted)
    return folder


def test_the_hash_depends_on_meaning_only():
    assert record().hash == record().hash
    assert len({record().hash, record(lr=0.2).hash, record(data="d2").hash}) == 3
    other = record()
    other.machine, other.started, other.version = {"cores": 64}, "yesterday", "9.9"
    assert other.hash == record().hash


def test_a_stage_made_anew_is_another_result():
    first, second = record(), record()
    first.finished, second.finished = "2026-01-01", "2026-01-02"
    assert first.hash == second.hash and first.identity != second.identity


def test_differences_name_key_and_values():
    assert record().differences(record(lr=0.2, data="d2")) == ["model.lr 0.1 -> 0.2", "new contents of dataset"]
    assert record().differences(StageRecord("student", "validate", {}, {"dataset": "d1"})) == [
        "verb fit -> validate",
        "model.lr 0.1 -> unset",
    ]


def test_the_record_says_what_the_folder_is_made_from(tmp_path):
    finished(tmp_path)
    content = json.loads((tmp_path / "student" / "stage.json").read_text())
    assert content["hash"] == record().hash
    assert content["settings"] == {"model.lr": 0.1} and content["duration_s"] >= 0
    assert {"version", "seed", "machine", "started", "finished", "inputs"} <= content.keys()
    assert read_record(tmp_path / "student").identity == read_record(tmp_path / "student").identity


def test_half_a_record_is_none(tmp_path):
    (tmp_path / "stage.json").write_text('{"hash": "ab", "sta')
    assert read_record(tmp_path) is None
    assert read_record(tmp_path / "nowhere") is None


def test_an_unfinished_stage_leaves_the_finished_one(tmp_path):
    finished(tmp_path, "old")
    folder = StageFolder(tmp_path, "student")
    folder.begin(record(lr=0.2), resumes=False)
    (folder.work / "weights").write_text("half")
    assert (tmp_path / "student" / "weights").read_text() == "old"
    assert folder.was_cut_off(record(lr=0.2)) and not folder.was_cut_off(record(lr=0.3))


def test_finishing_replaces_and_leaves_nothing_behind(tmp_path):
    finished(tmp_path, "old")
    finished(tmp_path, "new", lr=0.2)
    assert (tmp_path / "student" / "weights").read_text() == "new"
    assert not list((tmp_path / ".work").iterdir()) and not list((tmp_path / ".replaced").iterdir())


def test_beginning_empties_the_work_folder_unless_it_resumes(tmp_path):
    folder = StageFolder(tmp_path, "student")
    folder.begin(record(), resumes=False)
    (folder.work / "shard").touch()
    folder.begin(record(), resumes=True)
    assert (folder.work / "shard").exists()
    folder.begin(record(), resumes=False)
    assert not (folder.work / "shard").exists()


@pytest.mark.parametrize("survived_renames", [0, 1, 2])
def test_a_kill_while_finishing_loses_nothing(tmp_path, monkeypatch, survived_renames):
    """`finish` replaces the record, moves the old folder away, and moves the new one in: stopped after each of them."""
    finished(tmp_path, "old")
    folder, wanted = StageFolder(tmp_path, "student"), record(lr=0.2)
    folder.begin(wanted, resumes=False)
    (folder.work / "weights").write_text("new")
    path_type, left = type(folder.final), [survived_renames]
    real = path_type.rename

    def rename(self, target):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(path_type, "rename", rename)
        if survived_renames < 2:
            with pytest.raises(KeyboardInterrupt):
                folder.finish(wanted)
        else:
            folder.finish(wanted)
    StageFolder(tmp_path, "student")  # the next run finds it
    assert (tmp_path / "student" / "weights").read_text() == "new"
    assert read_record(tmp_path / "student").hash == wanted.hash


def test_an_old_folder_moved_away_comes_back(tmp_path):
    finished(tmp_path, "old")
    (tmp_path / ".replaced").mkdir(exist_ok=True)
    os.rename(tmp_path / "student", tmp_path / ".replaced" / "student")
    StageFolder(tmp_path, "student")
    assert (tmp_path / "student" / "weights").read_text() == "old"


def test_contents_count_and_times_do_not(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("a")
    before = content_hash(folder)
    os.utime(folder / "weights", (0, 0))
    (folder / ".cache").touch()
    assert content_hash(folder) == before
    (folder / "weights").write_text("b")
    assert content_hash(folder) != before


def test_two_runs_cannot_share_a_folder_and_a_killed_one_lets_go(tmp_path):
    code = "import sys, time; from pathlib import Path; from tangodistill.recipe.stage import exclusive\n"
    code += "with exclusive(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError) as error, exclusive(tmp_path):
            pass
        who, since = re.fullmatch(
            rf"Another run is at work in {tmp_path} \((.*), since (.*) UTC\). Wait for it, or choose another --out.",
            str(error.value),
        ).groups()
        assert who == f"process {holder.pid} on {socket.gethostname()}"
        assert datetime.now(UTC) - datetime.fromisoformat(f"{since}+00:00") < timedelta(minutes=2)
    finally:
        holder.kill()
        holder.wait()
    with exclusive(tmp_path):
        pass


def test_a_folder_made_for_nothing_is_removed(tmp_path):
    with exclusive(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()
    assert not (tmp_path / "new").exists()
    with exclusive(tmp_path / "new"):
        (tmp_path / "new" / "result").touch()
    assert (tmp_path / "new" / "result").exists()


def test_a_file_system_without_locks_is_no_hindrance(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", flock)
    with exclusive(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    for out, reason in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "below", "Not a directory")):
        with pytest.raises(UserError) as error, exclusive(out):
            pass
        assert str(error.value) == f"Cannot write to {out}: {reason}. Choose another --out."


def test_writing_a_record_is_atomic(tmp_path):
    write_record(tmp_path, record())
    assert [path.name for path in tmp_path.iterdir()] == ["stage.json"]
