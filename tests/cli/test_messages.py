import doctest
import errno
from argparse import ArgumentError
from dataclasses import dataclass

import pytest
from jsonargparse import ArgumentParser

from tangodistill.cli import messages
from tangodistill.cli.messages import message_of
from tangodistill.cli.verbs import execute
from tangodistill.user_error import UserError


@dataclass
class Source:
    source: str
    text_columns: list[str] | None = None


class Student:
    def __init__(self, dataset: Source, lr: float = 0.1, threads: int | None = None):
        pass


def told(arguments, tmp_path, config=None):
    """The message that a parser's rejection of arguments, or of a file, comes to."""
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(Student, "model")
    if config is not None:
        (tmp_path / "stage.yaml").write_text(config)
        arguments = ["--config", str(tmp_path / "stage.yaml"), *arguments]
    with pytest.raises(ArgumentError) as error:
        parser.parse_args(arguments)
    return message_of(error.value, [action.dest for action in parser._actions])


def test_an_unknown_key_gets_the_nearest(tmp_path):
    text = "model: {dataset: {source: a}, thread: 3}"
    assert told([], tmp_path, text) == "Unknown key 'thread'. Did you mean 'model.threads'?"


def test_an_unknown_flag_gets_the_nearest(tmp_path):
    assert told(["--model.lrr=3"], tmp_path) == "Unknown key 'model.lrr'. Did you mean 'model.lr'?"


def test_a_value_of_the_wrong_type_says_key_type_and_value(tmp_path):
    assert told(["--model.lr", "fast"], tmp_path) == "model.lr: Expected a float. Got value: fast"
    assert told(["--model.threads", "some"], tmp_path) == "model.threads: expected int or null, found some"


def test_a_missing_key_is_named(tmp_path):
    assert told([], tmp_path).startswith("Missing: model.dataset.source.")


def test_a_missing_file_is_named(tmp_path):
    message = told(["--config", "nowhere.yaml"], tmp_path)
    assert "does not exist" in message and "nowhere.yaml" in message


def test_the_key_of_a_class_is_looked_up_in_the_class():
    lightning = """Parser key "model":
  Does not validate against any of the Union subtypes
  Errors:
    - Problem with given class_path 'tangodistill.data.sources.DatasetConfig':
        Group 'dataset' does not accept option 'text_colums'
    - Expected a <class 'NoneType'>
  Given value: {'class_path': 'tangodistill.data.sources.DatasetConfig'}"""
    expected = "Unknown key 'text_colums' for DatasetConfig. Did you mean 'text_columns'?"
    assert message_of(ArgumentError(None, lightning)) == expected


@pytest.mark.parametrize(
    "found",
    [
        "Expected a dot import path string: TecherModule",
        "module 'tangodistill.modules' has no attribute 'TecherModule'",
    ],
)
def test_a_misspelt_class_gets_the_nearest(found):
    error = ArgumentError(None, f'Parser key "model":\n  Errors:\n    - {found}\n    - Expected a NoneType')
    assert message_of(error) == "model.class_path: no class 'TecherModule'. Did you mean 'TeacherModule'?"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as error:
        (tmp_path / "file" / "below").mkdir()
    place = tmp_path / "file" / "below"
    assert message_of(error.value) == f"{place}: Not a directory. Give another place, or change what lies there."


def test_a_users_error_is_its_own_message():
    assert message_of(UserError("no such file")) == "no such file"


def test_a_bug_has_no_message():
    assert message_of(TypeError("oops")) is None


def test_a_full_disk_is_one_line_however_deep():
    full = OSError(errno.ENOSPC, "No space left on device", "weights")
    assert message_of(full) == (
        "No space left on the disk while writing weights. Free some, then run the same command again: it resumes."
    )
    try:
        try:
            raise full
        except OSError as error:
            raise RuntimeError("writer failed") from error
    except RuntimeError as error:
        assert message_of(error) == message_of(full)


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EFBIG])
def test_a_quota_is_a_full_disk_too(number):
    assert message_of(OSError(number, "in the way", "weights")) == (
        "No space left on the disk while writing weights. Free some, then run the same command again: it resumes."
    )


def test_torch_tells_of_a_full_disk_in_words_of_its_own():
    error = RuntimeError("[enforce fail at inline_container.cc:603] . PytorchStreamWriter failed writing file data/0")
    told = "No space left on the disk. Free some, then run the same command again: it resumes."
    assert message_of(error) == told


def test_a_read_only_folder_is_named():
    assert message_of(OSError(errno.EROFS, "Read-only file system", "/data/out")) == (
        "/data/out: Read-only file system. Give another place, or change what lies there."
    )
    wrapped = RuntimeError("Error while serializing: I/O error: Permission denied (os error 13)")
    assert message_of(wrapped) == f"{wrapped}. Give another place, or change what lies there."


def test_arrow_names_the_place_in_its_text():
    error = PermissionError(errno.EACCES, "Failed to open local file '/x/a.arrow'")
    assert message_of(error).startswith("[Errno 13] Failed to open local file '/x/a.arrow'. Give another place")


def test_no_temporary_folder_says_what_to_set():
    error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    assert message_of(error) == "There is no temporary folder that can be written to. Set TMPDIR to one."


def test_a_file_that_our_own_code_lost_is_a_bug():
    assert message_of(FileNotFoundError(errno.ENOENT, "No such file or directory", "weights")) is None


@pytest.mark.parametrize(
    ("given", "quoted"),
    [
        ("[no, yes]", '["no", "yes"]'),
        ("[0, 1]", '["0", "1"]'),
        ("[null, cold]", '["null", "cold"]'),
        ("[1.0, 0.5]", '["1.0", "0.5"]'),
        ("yes", '"yes"'),
    ],
)
def test_what_yaml_reads_as_something_else_than_text_is_shown_in_quotes(given, quoted, tmp_path):
    key = "label_names" if given.startswith("[") else "positive"
    path = tmp_path / "augment.yaml"
    path.write_text(f"dataset: {{source: a.csv, {key}: {given}}}\noutput: {tmp_path}\n")
    with pytest.raises(UserError) as error:
        execute("augment", ["--config", str(path)])
    assert f"dataset.{key}: expected " in str(error.value)
    assert str(error.value).endswith(f"put text in quotes, as in {quoted}")


def test_doctests():
    assert doctest.testmod(messages).failed == 0
