"""A cascade of two real tiers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from random_cascades import Case, timing_of

from tangodistill.cascade.confidence import confidence

REAL = Path(__file__).parents[2] / "../shared/data/predictions/sst2_test_bilstm_minilm.parquet"


@pytest.fixture(scope="session")
def real_case() -> Case:
    """A BiLSTM and a MiniLM on SST-2's 1,821 labelled test sentences."""
    if not REAL.exists():
        pytest.skip(f"no real predictions at {REAL}")
    table = pd.read_parquet(REAL)
    logits1, logits2 = np.stack(table["tier1_logits"]), np.stack(table["tier2_logits"])
    timing = timing_of(len(table), np.random.default_rng(0))
    answers = np.stack([logits1.argmax(1), logits2.argmax(1)])
    return Case(table["label"].to_numpy(), answers, confidence(logits1)[None], 2, timing)
