"""Distil a small first tier from a transformer teacher and serve both as a confidence cascade.

Importing the package is cheap: the public names below are looked up when they are first used.
"""

from importlib import import_module

__version__ = "0.1.0"

_PUBLIC = {
    "CascadePredictor": "tangodistill.predictor.predictor",
    "Prediction": "tangodistill.predictor.answers",
    "BiLSTMConfig": "tangodistill.models.bilstm",
    "BiLSTMForSequenceClassification": "tangodistill.models.bilstm",
    "UserError": "tangodistill.user_error",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__():
    return sorted(__all__)
