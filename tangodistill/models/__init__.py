"""Model classes; importing this registers them with transformers' Auto classes."""

from tangodistill.models.bilstm import BiLSTMConfig, BiLSTMForSequenceClassification

__all__ = ["BiLSTMConfig", "BiLSTMForSequenceClassification"]
