"""What a search of length configurations found: those that are worth serving a cascade with."""

import json
from pathlib import Path

import numpy as np

from tangodistill.models.length_configuration import Lengths, checked
from tangodistill.user_error import UserError

RECORD = "length_search.json"
AT_MOST = 4


def spread_over_front(folder: str | Path, layers: int) -> list[Lengths]:
    """At most four configurations of a search's front, spread evenly over its times, the fastest first.

    The full network is not among them, nor one that was slower.

    Args: `folder` that holds the search's record; `layers` of the model that was searched.

    Raises:
        UserError: there is no record, it can't be read, or is of a model with other layers.
    """
    path = Path(folder) / RECORD
    try:
        front = json.loads(path.read_text(encoding="utf-8"))["front"]
        rows = sorted((float(row["time_share"]), tuple(row["lengths"])) for row in front)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"Cannot read {path} ({error}). Run `python -m tangodistill search` again.") from error
    found = [(time, checked(lengths, layers)) for time, lengths in rows]
    found = [(time, lengths) for time, lengths in found if time <= 1 and lengths != (1.0,) * layers]
    times = np.array([time for time, _ in found])
    return [found[i][1] for i in _spread(times)] if found else []


def _spread(times: np.ndarray) -> list[int]:
    """Indices of the ascending times (n,) that are nearest to evenly spaced ones, each once.

    >>> _spread(np.array([0.1, 0.2, 0.3, 0.35, 0.38, 1.0]))
    [0, 4, 5]
    """
    wanted = np.linspace(times[0], times[-1], AT_MOST)
    return np.unique(np.abs(times[:, None] - wanted).argmin(axis=0)).tolist()
