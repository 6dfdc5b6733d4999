"""Distil a small first tier from a transformer teacher and serve both as a confidence cascade."""

__version__ = "0.1.0"
