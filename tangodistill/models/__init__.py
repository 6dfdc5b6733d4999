"""Model classes; importing this registers them with transformers' Auto classes."""

from tangodistill.models.bilstm import BiLSTMConfig, BiLSTMForSequenceClassification
from tangodistill.models.deebert import DeeBertConfig, DeeBertForSequenceClassification

__all__ = ["BiLSTMConfig", "BiLSTMForSequenceClassification", "DeeBertConfig", "DeeBertForSequenceClassification"]
