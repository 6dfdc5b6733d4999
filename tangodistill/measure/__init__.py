"""The cascade under measurement: times as they are served, every threshold swept, one chosen and run for real."""

from tangodistill.measure.cascade_data import CascadeData
from tangodistill.measure.cascade_module import CascadeModule

__all__ = ["CascadeData", "CascadeModule"]
