"""The published GLUE folders: which file is which split, and their columns under the hub's names."""

from pathlib import Path

from tangodistill.data.tables import Table, TextForm, read_tsv
from tangodistill.tasks import Task
from tangodistill.user_error import UserError

# MRPC also comes as its authors published it, without a dev file. GLUE's own test files carry no labels;
# the treebank's labelled test sentences of SST-2 lie beside them as test_labelled.tsv.
_FILES = {
    "train": ("train.tsv", "msr_paraphrase_train.txt"),
    "validation": ("dev.tsv",),
    "test": ("test_labelled.tsv", "test.tsv", "msr_paraphrase_test.txt"),
}
_COLA_HEADER = ("source", "label", "mark", "sentence")
_MRPC_NAMES = {"Quality": "label", "#1 String": "sentence1", "#2 String": "sentence2"}


def glue_files(folder: Path, task: Task) -> dict[str, Path]:
    """Files of the labelled splits, of several the first that holds labels.

    Args:
        folder: the task's folder, or the one above it that holds all of GLUE.

    Raises:
        UserError: there is no training file.
    """
    if (folder / task.glue_folder).is_dir():
        folder = folder / task.glue_folder
    found = {}
    for split, names in _FILES.items():
        paths = [folder / name for name in names if (folder / name).is_file()]
        labelled = [path for path in paths if split != "test" or _has_labels(path, task)]
        if labelled:
            found[split] = labelled[0]
    if "train" not in found:
        raise UserError(f"{folder}: no {' or '.join(_FILES['train'])} here; give the folder of {task.glue_folder}.")
    return found


def read_glue(path: Path, task: Task) -> Table:
    """Read one published file; its columns get the names that the task's record uses."""
    table = read_tsv(path, TextForm(), header=_COLA_HEADER if task.name == "cola" else None)
    published = {_MRPC_NAMES.get(name, name): name for name in table.names}
    return Table(table.origin, tuple(published), lambda name: table.column(published[name]))


def _has_labels(path: Path, task: Task) -> bool:
    """Whether the first line shows a column of labels."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        fields = file.readline().rstrip("\n").split("\t")
    if task.name == "cola":
        return len(fields) == len(_COLA_HEADER)
    return task.label_column in (_MRPC_NAMES.get(name, name) for name in fields)
