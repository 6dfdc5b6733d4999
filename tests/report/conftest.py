import pytest
from synthetic_run import random_logits, write_run

from tangodistill.cascade import intervals


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    """A few draws of the bootstrap do for tests of what is shown."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "MOST_DRAWS", 20)
        patch.setattr(intervals, "FEWEST_DRAWS", 20)
        yield


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A run's folder with its cascade measured on 400 random examples; not to be written to."""
    run = tmp_path_factory.mktemp("runs") / "demo"
    write_run(run, *random_logits(400, seed=1))
    return run
