"""Every operating point of early exit, from one pass in which no example left early.

An example leaves at the first off-ramp whose entropy is below the threshold (strict, compared in float32). As the
threshold rises it moves to ever earlier exits, each time when the threshold passes an entropy that is lower than all
those before it in the example. Sorted by that entropy, the moves made are a prefix, and prefix sums of their changes in
counts and seconds give all points at once: O(n · exits · log(n · exits)).
"""

import numpy as np

from tangodistill.cascade.gates import rank
from tangodistill.cascade.moves import Moves, cascade_counts
from tangodistill.metrics import check_class_ids, class_counts, scores_from_counts


def exit_points(
    labels: np.ndarray,
    answers: np.ndarray,
    entropies: np.ndarray,
    seconds: np.ndarray,
    second_only_s: float,
    num_classes: int,
) -> dict[str, np.ndarray]:
    """Columns (points,) of every operating point by ascending threshold, from none leaving early to all at the first.

    `kind` ("deebert"), `threshold` (float32), `exit1`, `exit2`, ... (examples that leave there), `accuracy`, `f1`,
    `mcc`, `time_s` (all examples, one at a time), `throughput_per_s`, and `speedup` over `second_only_s`.

    Args:
        labels: (n,) class ids.
        answers: (n, exits) class ids.
        entropies: (n, exits - 1) of the off-ramps, in nats; the last exit needs none.
        seconds: (n, exits) of an example, one at a time, when it leaves at each exit.
        second_only_s: of all examples through the cascade's last tier alone, one at a time.

    Raises: ValueError for arrays that do not fit together.

    >>> points = exit_points(
    ...     labels=np.array([1, 0]),
    ...     answers=np.array([[1, 1], [1, 0]]),
    ...     entropies=np.array([[0.25], [0.5]]),
    ...     seconds=np.array([[1.0, 2.0], [1.0, 2.0]]),
    ...     second_only_s=4.0,
    ...     num_classes=2,
    ... )
    >>> points["exit1"].tolist(), points["accuracy"].tolist(), points["speedup"].round(2).tolist()
    ([0, 1, 2], [1.0, 1.0, 0.5], [1.0, 1.33, 2.0])
    """
    n, exits = answers.shape
    if entropies.shape != (n, exits - 1) or seconds.shape != (n, exits):
        raise ValueError(
            f"answers to {n} examples at {exits} exits need entropies {(n, exits - 1)} and seconds {(n, exits)}, "
            f"got {entropies.shape} and {seconds.shape}"
        )
    last = exits - 1
    labels, *columns = check_class_ids(
        num_classes, labels=labels, **{f"exit{e + 1}": answers[:, e] for e in range(exits)}
    )
    answers = np.stack(columns, axis=1)
    row, before, after, entropy = _moves(np.asarray(entropies, np.float32))
    order, threshold, made = rank(entropy)
    moves = Moves(np.full(n, last, np.int8), row[order], before[order], after[order], made)
    counts = cascade_counts(
        class_counts(labels, answers[:, last], num_classes),
        labels[moves.row],
        answers[moves.row, moves.before],
        answers[moves.row, moves.after],
        moves.sum_made,
    )
    time_s = moves.total(seconds.T)
    leaving = {f"exit{e + 1}": moves.beyond(e - 1) - moves.beyond(e) for e in range(exits)}
    return {
        "kind": np.repeat("deebert", len(threshold)),
        "threshold": threshold,
        **leaving,
        **scores_from_counts(counts),
        "time_s": time_s,
        "throughput_per_s": n / time_s,
        "speedup": second_only_s / time_s,
    }


def _moves(entropies: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each move: the example, its exit before and after, and the entropy that the threshold has to pass.

    >>> [column.tolist() for column in _moves(np.array([[0.5, 0.7, 0.25]], np.float32))]
    [[0, 0], [2, 3], [0, 2], [0.5, 0.25]]
    """
    lowest = np.minimum.accumulate(entropies, axis=1)
    # an off-ramp that is no surer than one before it is never the first below a threshold
    surer = np.diff(lowest, axis=1, prepend=np.float32(np.inf)) < 0
    row, after = np.nonzero(surer)
    ends_row = np.append(row[1:] != row[:-1], True)
    before = np.where(ends_row, entropies.shape[1], np.append(after[1:], 0))
    return row, before, after, lowest[surer]
