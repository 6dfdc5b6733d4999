"""How sure the first tier is of its answer, from its logits."""

import numpy as np

SCORES = ("max_probability", "margin", "entropy")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (n, classes) float64 of logits (n, classes).

    >>> softmax([[0.0, 0.0], [1000.0, 0.0]]).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    logits = np.asarray(logits, np.float64)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def confidence(logits: np.ndarray, score: str = "max_probability") -> np.ndarray:
    """Confidence (n,) float32 within 0..1 of each row of logits (n, classes); higher is surer.

    "max_probability" is the highest probability, "margin" its distance to the second highest, "entropy" is one minus
    the entropy over its largest possible value. Computed in float64 and rounded once, so that a surer row never ranks
    below a less sure one. With two classes the three rank alike.

    Raises: ValueError for an unknown score, fewer than two classes, or a row with a value that is not finite.

    >>> confidence([[0.0, 0.0], [2.0, 0.0]]).round(3).tolist()
    [0.5, 0.8809999823570251]
    """
    logits = np.asarray(logits)
    if score not in SCORES:
        raise ValueError(f"unknown confidence score {score!r}; known: {', '.join(SCORES)}")
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(f"logits must be (examples, two or more classes), got {logits.shape}")
    if not np.isfinite(logits).all():
        raise ValueError(f"the logits of row {int(np.argmin(np.isfinite(logits).all(axis=1)))} are not finite")
    probabilities = softmax(logits)
    if score == "max_probability":
        result = probabilities.max(axis=1)
    elif score == "margin":
        second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
        result = first - second
    else:
        # p log p is 0 at p = 0
        logs = np.log(probabilities, where=probabilities > 0, out=np.zeros_like(probabilities))
        result = 1 + (probabilities * logs).sum(axis=1) / np.log(logits.shape[1])
    return np.clip(result, 0, 1).astype(np.float32)
