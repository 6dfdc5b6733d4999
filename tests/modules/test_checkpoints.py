import errno
import os
from pathlib import Path

import pytest
import torch

from tangodistill.cli.messages import message_of
from tangodistill.modules.checkpoints import WholeFiles


def test_what_is_written_is_read_back_and_nothing_else_is_left(tmp_path):
    WholeFiles().save_checkpoint({"step": 3, "weights": torch.ones(2)}, tmp_path / "checkpoints" / "last.ckpt")
    read = WholeFiles().load_checkpoint(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert read["step"] == 3 and read["weights"].tolist() == [1, 1]
    assert [path.name for path in tmp_path.rglob("*.ckpt*")] == ["last.ckpt"]


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    WholeFiles().save_checkpoint({"step": 3}, tmp_path / "last.ckpt")

    def killed(checkpoint, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        WholeFiles().save_checkpoint({"step": 4}, tmp_path / "last.ckpt")
    assert WholeFiles().load_checkpoint(tmp_path / "last.ckpt", weights_only=True) == {"step": 3}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's disk that is always full")
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_full_disk_is_told_as_one(tmp_path, size):
    os.symlink("/dev/full", tmp_path / "last.ckpt.partial")
    with pytest.raises(OSError) as error:
        WholeFiles().save_checkpoint({"weights": torch.ones(size)}, tmp_path / "last.ckpt")
    assert error.value.errno == errno.ENOSPC
    assert message_of(error.value).startswith("No space left on the disk")
