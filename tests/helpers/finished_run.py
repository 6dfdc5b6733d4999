"""A finished run's folder, shared by the tests of the report and of the paper's tables."""

import pytest
from synthetic_run import random_logits, write_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A run's folder with its cascade measured on 400 random examples; not to be written to."""
    run = tmp_path_factory.mktemp("runs") / "demo"
    write_run(run, *random_logits(400, seed=1))
    return run
