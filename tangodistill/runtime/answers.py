"""What a cascade says of its examples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tangodistill.cascade.confidence import softmax


@dataclass(frozen=True)
class Prediction:
    """One answer."""

    label: str
    probability: float  # of the label, by the tier that answered
    tier: int  # 1 or 2
    confidence: float  # of the first tier: what the threshold was compared with


@dataclass(frozen=True)
class Answers:
    """Answers to n examples as arrays, in their order."""

    logits: np.ndarray  # (n, classes) float32, of the tier that answered, in the cascade's label order
    tier: np.ndarray  # (n,) int8, 1 or 2
    confidence: np.ndarray  # (n,) float32, of the first tier
    answered_s: np.ndarray  # (n,) seconds from the call until the answer stood

    @property
    def predictions(self) -> np.ndarray:
        """Label ids (n,)."""
        return self.logits.argmax(axis=1)


def predictions_of(
    logits: np.ndarray, label_names: Sequence[str], tier: int, confidence: np.ndarray, stands: np.ndarray
) -> list[Prediction | None]:
    """One tier's predictions (n,) from logits (n, classes) in the order of the names; None where one doesn't stand.

    >>> logits = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> predictions_of(logits, ("no", "yes"), 1, np.array([0.75, 0.5]), np.array([True, False]))
    [Prediction(label='yes', probability=0.7310585786300049, tier=1, confidence=0.75), None]
    """
    labels = logits.argmax(axis=1)
    probabilities = softmax(logits)[np.arange(len(labels)), labels]
    return [
        Prediction(label_names[label], probability, tier, sure) if answered else None
        for label, probability, sure, answered in zip(
            labels.tolist(), probabilities.tolist(), confidence.tolist(), stands.tolist(), strict=True
        )
    ]
