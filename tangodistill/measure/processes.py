"""What the processes of one measurement do together: share a forward pass, and wait for the first of them.

In a run of one process each of these is what it would be without them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
from torch import distributed

from tangodistill.data.length_batches import length_batches
from tangodistill.engines.engine import Engine
from tangodistill.modules.processes import gathered, several


def shared_outputs(engine: Engine, texts: Sequence[str], pairs: Sequence[str] | None, batch_size: int) -> np.ndarray:
    """Outputs (n, k) of all examples in every process, each batch run by one of them.

    The batches are those of one process, so the outputs are too.
    """
    if not several():
        return engine.outputs(texts, pairs, batch_size)
    plan = length_batches(engine.lengths(texts, pairs), batch_size, engine.facts.exact_length)
    own = [row for rows in plan[distributed.get_rank() :: distributed.get_world_size()] for row in rows]
    part = engine.outputs([texts[i] for i in own], [pairs[i] for i in own] if pairs else None, batch_size)
    outputs = np.empty((len(texts), engine.facts.outputs), np.float32)
    for rows, answers in gathered((own, part)):
        outputs[rows] = answers
    return outputs


@contextmanager
def others_wait() -> Iterator[None]:
    """Whoever has nothing to do inside waits at the end, asleep, until the last one is through.

    A group of its own, because the usual one gives up after half an hour.
    """
    if not several():
        yield
        return
    group = distributed.new_group(backend="gloo", timeout=timedelta(days=365))
    yield
    distributed.barrier(group)
    distributed.destroy_process_group(group)
