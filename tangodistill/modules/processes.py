"""What the processes of one training know of each other; in a run of one process it is what it would be without."""

from typing import Any

from torch import distributed


def several() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def gathered(own: Any) -> list[Any]:
    """What each process has, in the order of their ranks; all of them must call it, and all get the list.

    >>> gathered("mine")
    ['mine']
    """
    if not several():
        return [own]
    values = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, own)
    return values
