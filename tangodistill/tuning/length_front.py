"""What a search of length configurations found: those that are worth having."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tangodistill.data.contents import model_hash
from tangodistill.models.length_configuration import Lengths, checked
from tangodistill.user_error import UserError

RECORD = "length_search.json"


@dataclass(frozen=True)
class Front:
    """The front of a search, without the full network and what was no faster."""

    model: str
    """Folder of the Dynamic-TinyBERT, as the search was told."""
    times: np.ndarray
    """(k,) shares of the full network's time, ascending."""
    configurations: list[Lengths]
    contents: str | None = None
    """Hash of the model; earlier versions wrote none."""

    def refuse_another(self, model: str | Path) -> None:
        """Raises UserError where a folder holds another model than was searched."""
        if self.contents not in (None, model_hash(model)):
            raise UserError(
                f"{model} holds other weights than the search of {self.model} was made with, so its front says nothing "
                "of them. Search anew: `python -m tangodistill search`."
            )

    def spread(self, count: int) -> list[Lengths]:
        """At most `count` of them, the fastest and the slowest among them, about evenly apart in time."""
        return [self.configurations[i] for i in spread(self.times, count)]


def read_front(folder: str | Path, layers: int | None = None) -> Front:
    """The front of a search's record in `folder`.

    Args: `layers` that each configuration must have.

    Raises:
        UserError: there is no record, it can't be read, or it is of a model with other layers.
    """
    path = Path(folder) / RECORD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        model, contents = str(content["settings"]["model"]), content["settings"].get("contents")
        rows = sorted((float(row["time_share"]), tuple(row["lengths"])) for row in content["front"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"Cannot read {path} ({error}). Give the folder that `python -m tangodistill search` wrote."
        ) from error
    rows = [(time, checked(lengths, layers or len(lengths))) for time, lengths in rows]
    rows = [(time, lengths) for time, lengths in rows if time < 1 and set(lengths) != {1.0}]
    return Front(model, np.array([time for time, _ in rows]), [lengths for _, lengths in rows], contents)


def spread(times: np.ndarray, count: int) -> list[int]:
    """Indices of the ascending times (n,) that are nearest to `count` evenly spaced ones, each once.

    >>> spread(np.array([0.1, 0.2, 0.3, 0.35, 0.38, 1.0]), 4)
    [0, 4, 5]
    """
    if not len(times):
        return []
    wanted = np.linspace(times[0], times[-1], count)
    return np.unique(np.abs(times[:, None] - wanted).argmin(axis=0)).tolist()
