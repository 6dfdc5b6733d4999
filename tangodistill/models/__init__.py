"""Model classes; importing this registers them with transformers' Auto classes."""

from tangodistill.models.bilstm import BiLSTMConfig, BiLSTMForSequenceClassification
from tangodistill.models.deebert import DeeBertConfig, DeeBertForSequenceClassification
from tangodistill.models.dynamic_tinybert import (
    DynamicTinyBertConfig,
    DynamicTinyBertForQuestionAnswering,
    DynamicTinyBertForSequenceClassification,
)

__all__ = [
    "BiLSTMConfig",
    "BiLSTMForSequenceClassification",
    "DeeBertConfig",
    "DeeBertForSequenceClassification",
    "DynamicTinyBertConfig",
    "DynamicTinyBertForQuestionAnswering",
    "DynamicTinyBertForSequenceClassification",
]
