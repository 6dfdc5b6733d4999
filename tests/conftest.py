"""Settings for all tests: no hub, no W&B server, no time limits."""

import logging
import os
import sys

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models crawl where threads wait for a busy core

from hypothesis import settings  # noqa: E402

# a loaded machine is no failure; and what lands is decided by the same examples each time, at a desk they vary
settings.register_profile("own", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("own")


pytest_plugins = ["finished_run", "small_training", "span_tiers", "tiny_tiers"]


@pytest.fixture(scope="module")
def few_draws():
    """A few draws of the bootstrap do for tests of what is written or shown."""
    from tangodistill.cascade import intervals

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "MOST_DRAWS", 20)
        patch.setattr(intervals, "FEWEST_DRAWS", 20)
        yield


@pytest.fixture(scope="module", autouse=True)
def no_tracker_is_inherited():
    """W&B reads its mode once a process: a file that switched it off would do so for those that follow."""
    yield
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


@pytest.fixture
def refused(capfd, monkeypatch):
    """The message of a command line that the user got wrong."""
    from tangodistill.cli import main as cli

    monkeypatch.setattr(logging, "raiseExceptions", False)  # Lightning logs to the stderr of the test before

    def refused(*arguments) -> str:
        assert cli.main([str(argument) for argument in arguments]) == 2
        shown = capfd.readouterr().err
        assert "Traceback" not in shown
        *_, last = shown.splitlines()
        return last.removeprefix("error: ")

    return refused
