"""Whether the Hugging Face hub answers, found out in seconds; its own client would try five times over."""

import os
import sys
from functools import cache
from pathlib import Path

PATIENCE_S = 3.0


def spare_the_wait(name_or_folder: str | Path) -> None:
    """Before a hub name is looked up: where the hub can't be reached, only what was fetched earlier is looked at.

    That holds for the rest of the process, and for those that it starts.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or Path(name_or_folder).exists() or answers(constants.ENDPOINT):
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    constants.HF_HUB_OFFLINE = True
    if "datasets" in sys.modules:  # it took a copy
        sys.modules["datasets"].config.HF_HUB_OFFLINE = True


@cache
def answers(endpoint: str) -> bool:
    """Whether a server answers, asked as the hub's client would: through the same proxies, by the same certificates."""
    from huggingface_hub.utils import get_session

    try:
        return get_session().head(endpoint, timeout=PATIENCE_S).status_code < 500
    except Exception:  # the errors of the HTTP client below the hub library: it has changed clients before
        return False
