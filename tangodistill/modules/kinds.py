"""Data and modules must be of one kind: labels, or spans of contexts."""

from tangodistill.tasks import Task
from tangodistill.user_error import UserError

ASKS_FOR = {"classification": "labels", "spans": "spans of contexts"}
MADE_FOR = {
    "classification": "TeacherModule, StudentModule, EncoderStudentModule, TinyBertModule, DynamicTinyBertModule or "
    "DeeBertModule, with TextData or TransferData",
    "spans": "SpanTeacherModule, SpanStudentModule or DynamicSpanModule, with SpanData",
}


def check_kinds(task: Task, data: object, module: object) -> None:
    """That a data module and the module under training are made for a task; one without a `kind` takes either.

    Raises:
        UserError: one is made for the other kind; names it, and what to use.
    """
    for key, part in (("data", data), ("model", module)):
        own = getattr(part, "kind", None) or task.kind
        if own != task.kind:
            raise UserError(
                f"{key}.class_path is {type(part).__name__}, which is for {ASKS_FOR[own]}, but the task {task.name} "
                f"asks for {ASKS_FOR[task.kind]}. Use {MADE_FOR[task.kind]}; or give data.dataset another task."
            )
