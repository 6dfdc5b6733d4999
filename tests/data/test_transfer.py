"""Transfer sets on disk: read as they were written, and refused where a file of them is not whole."""

import pyarrow as pa
import pytest
from datasets import Features, Value

from tangodistill.data.transfer import load_transfer_set, write_transfer_set
from tangodistill.user_error import UserError

ARROW = "data-00000-of-00001.arrow"


@pytest.fixture
def folder(tmp_path):
    tables = [pa.table({"text": [f"text {part} {i}" for i in range(500)]}) for part in "ab"]
    write_transfer_set(tmp_path / "set", tables, Features({"text": Value("string")}), {"seed": 7})
    return tmp_path / "set"


def error_of(folder, labelled=False) -> str:
    with pytest.raises(UserError) as error:
        load_transfer_set(folder, labelled)
    return str(error.value)


def test_what_is_written_is_read_back_and_nothing_else_is_left(folder):
    rows, manifest = load_transfer_set(folder, labelled=False)
    assert rows["text"][499:501] == ["text a 499", "text b 0"] and len(rows) == 1000
    assert manifest == {"seed": 7}
    assert sorted(path.name for path in folder.iterdir()) == [
        ARROW, "dataset_info.json", "manifest.json", "state.json",
    ]  # fmt: skip


def test_equal_rows_give_equal_bytes(folder, tmp_path):
    tables = [pa.table({"text": [f"text {part} {i}" for i in range(500)]}) for part in "ab"]
    write_transfer_set(tmp_path / "again", tables, Features({"text": Value("string")}), {"seed": 7})
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_a_set_that_is_not_finished(folder):
    (folder / "manifest.json").unlink()
    assert error_of(folder) == (
        f"{folder} is no finished transfer set: it has no manifest.json. "
        "Write one with 'python -m tangodistill augment'."
    )


def test_a_set_that_is_not_labelled(folder):
    message = f"{folder} has no teacher logits. Label it first: 'python -m tangodistill label'."
    assert error_of(folder, labelled=True) == message


@pytest.mark.parametrize("name", [ARROW, "state.json", "dataset_info.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_file(folder, name, damage):
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    message = error_of(folder)
    if (name, damage) != ("manifest.json", "gone"):
        assert message.startswith(f"{folder}: a file of this transfer set is gone or damaged (")
        assert message.endswith("Write it anew: 'python -m tangodistill augment', or --force of its stage.")
