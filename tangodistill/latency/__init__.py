"""Measuring: the machine, interleaved timing, the best batch size."""
