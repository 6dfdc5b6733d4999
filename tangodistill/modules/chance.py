"""Whether a trained classifier has learnt anything: against chance, and against always giving one answer."""

import math

import numpy as np

from tangodistill.metrics import best_constant
from tangodistill.tasks import Task
from tangodistill.user_error import UserError


def refuse_chance(who: str, mcc: float, rows: int, hint: str) -> None:
    """Stop where a classifier is no better than a coin: MCC within two standard errors of 0, or below.

    Raises:
        UserError: it is so; says who, and what may help.
    """
    bound = 2 / math.sqrt(rows)
    if mcc < bound:
        hint = "its label names may be swapped" if mcc < -bound else hint
        raise UserError(
            f"{who} is at chance on the selection role: MCC {mcc:.3f} on {rows} rows, at least {bound:.3f} is needed. "
            f"A cascade over it would mean nothing; {hint}."
        )


def constant_warning(who: str, score: float, labels: np.ndarray, task: Task, role: str) -> str | None:
    """A sentence where always giving one answer scores no worse than a classifier, by the task's own metric.

    Args:
        who: the classifier, as a sentence begins with it.
        labels: (n,) class ids that were scored.
        role: of the data that they are from.
    """
    answer, constant = best_constant(task.metric, labels, len(task.label_names), task.positive_id)
    if score > constant:
        return None
    return (
        f"{who} is no better than one constant answer: {task.metric_title} {100 * score:.1f} on the {role} role, where "
        f"always answering {task.label_names[answer]!r} gives {100 * constant:.1f}"
    )
