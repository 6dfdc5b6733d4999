"""Commands that work in more than one process: stages of `run` that start others, and the others themselves."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from tangodistill.recipe.config import get_key
from tangodistill.user_error import UserError

PART_OF_RUN = "--part_of_run"
"""Flag of a stage that `run` started as a process: `run` says how it ended, and what comes next."""

PATIENCE_S = 15.0  # time for the first process to tell of an error that all have, and to end the others


def may_start_processes(config: dict[str, Any]) -> bool:
    """Whether a stage of the Trainer may start processes beside its own: any but a plain `devices: 1`.

    >>> may_start_processes({"trainer": {"devices": 2}}), may_start_processes({"trainer": {"devices": 1}})
    (True, False)
    """
    one = {"devices": (1,), "num_nodes": (None, 1), "strategy": (None, "auto")}
    return any(get_key(config, f"trainer.{key}") not in values for key, values in one.items())


def run_as_process(verb: str, arguments: list[str]) -> None:
    """Runs a verb as a process of its own, and waits for it.

    The Trainer starts other processes with the command line of the one that it is in; and what it sets up for them
    (process group, threads, environment) is gone before the next stage.

    Raises:
        SystemExit: it failed, and said why.
        KeyboardInterrupt: it was stopped by Ctrl-C.
        UserError: it was killed.
    """
    debug = ["--debug"] if "--debug" in sys.argv else []
    command = [sys.executable, "-m", "tangodistill", verb, *arguments, PART_OF_RUN, *debug]
    process = subprocess.Popen(command, close_fds=False)  # it holds the run's lock for as long as it lives
    try:
        code = process.wait()
    except BaseException:
        _end(process)
        raise
    if code == 130:
        raise KeyboardInterrupt
    if code < 0:
        raise UserError(f"the process of `{verb}` was killed (signal {-code}). The same command resumes.")
    if code:
        raise SystemExit(code)


def _end(process: subprocess.Popen) -> None:
    """A terminal's Ctrl-C has reached it too, and it is about to end; whatever else stops `run` has not."""
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def is_helper() -> bool:
    """Whether another process of the same command on this machine is the first, which does the talking."""
    return os.environ.get("LOCAL_RANK", "0") != "0"


def help_silently(work: Callable[[], None]) -> None:
    """Does a helper's work. What goes wrong in it is told only where the first process does not end it meanwhile."""
    end_with_parent()
    try:
        with _silence():
            work()
    except Exception:
        time.sleep(PATIENCE_S)
        raise


def end_with_parent() -> None:
    """Lets the system end this process when the one that started it dies, however it dies (Linux alone can)."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


@contextmanager
def _silence() -> Iterator[None]:
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield
