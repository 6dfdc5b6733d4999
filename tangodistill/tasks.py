"""One record per task: its columns, label names, metric and text length. Reads nothing."""

import difflib
from dataclasses import dataclass

from tangodistill.metrics import metric_title, positive_id
from tangodistill.user_error import UserError


@dataclass(frozen=True)
class Task:
    """What a data set asks for, whatever file or hub set it comes from."""

    name: str
    text_columns: tuple[str, ...]
    """One column, or two for sentence pairs."""
    label_column: str
    """Empty for spans, which have no labels."""
    label_names: tuple[str, ...]
    """A label's id is its place here; empty: taken from the data, sorted."""
    metric: str
    """What the task is judged by: ``accuracy``, ``f1`` or ``mcc``; of spans ``f1`` or ``em``."""
    max_length: int | None
    """Tokens of a text, special tokens included; the rest is cut off. None: as many as hold 99 % of the training texts
    whole, by each tier's own tokenizer."""
    kind: str = "classification"
    """Or ``spans``: a question is answered by a piece of the context beside it."""
    glue_folder: str | None = None
    """The folder's name in the published GLUE archive."""
    hub: tuple[str, str] | None = None
    """Data set and configuration on the Hugging Face hub."""
    positive: str | None = None
    """The class of two that F1 is of; None: the second."""

    @property
    def is_pair(self) -> bool:
        """Whether an example is two texts."""
        return len(self.text_columns) == 2

    @property
    def positive_id(self) -> int:
        """Id of the class of two that F1 is of."""
        return positive_id(self.label_names, self.positive)

    @property
    def metric_title(self) -> str:
        """What its metric is called wherever somebody reads it.

        >>> get_task("mrpc").metric_title, get_task("squad").metric_title
        ('F1 of equivalent', 'F1')
        """
        return metric_title(self.metric, self.label_names, self.positive)


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="sst2",
            text_columns=("sentence",),
            label_column="label",
            label_names=("negative", "positive"),
            metric="accuracy",
            max_length=64,
            glue_folder="SST-2",
            hub=("nyu-mll/glue", "sst2"),
        ),
        Task(
            name="cola",
            text_columns=("sentence",),
            label_column="label",
            label_names=("unacceptable", "acceptable"),
            metric="mcc",
            max_length=64,
            glue_folder="CoLA",
            hub=("nyu-mll/glue", "cola"),
        ),
        Task(
            name="mrpc",
            text_columns=("sentence1", "sentence2"),
            label_column="label",
            label_names=("not_equivalent", "equivalent"),
            metric="f1",
            max_length=128,
            glue_folder="MRPC",
            hub=("nyu-mll/glue", "mrpc"),
        ),
        Task(
            name="qnli",
            text_columns=("question", "sentence"),
            label_column="label",
            label_names=("entailment", "not_entailment"),
            metric="accuracy",
            max_length=128,
            glue_folder="QNLI",
            hub=("nyu-mll/glue", "qnli"),
        ),
        Task(
            name="squad",
            text_columns=("question", "context"),
            label_column="",
            label_names=(),
            metric="f1",
            max_length=384,
            kind="spans",
            hub=("rajpurkar/squad", "plain_text"),
        ),
        Task(
            name="custom",
            text_columns=("text",),
            label_column="label",
            label_names=(),
            metric="accuracy",
            max_length=None,
        ),
    )
}


def get_task(name: str) -> Task:
    """Return the record of a task.

    Raises:
        UserError: no task has this name.

    >>> get_task("sst2").label_names
    ('negative', 'positive')
    """
    if name in TASKS:
        return TASKS[name]
    nearest = difflib.get_close_matches(str(name).lower(), TASKS, n=1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else "."
    raise UserError(f"Unknown task '{name}'{hint} Known tasks: {', '.join(sorted(TASKS))}.")
