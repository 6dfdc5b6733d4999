"""Cascades of two and of three real tiers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from random_cascades import Case, timing_of

from tangodistill.cascade.confidence import confidence
from tangodistill.cascade.outcomes import ClassOutcomes
from tangodistill.cascade.timing import TierTime, Timing

PREDICTIONS = Path(__file__).parents[2] / "../shared/data/predictions"


def read_real(name: str) -> pd.DataFrame:
    file = PREDICTIONS / name
    if not file.exists():
        pytest.skip(f"no real predictions at {file}")
    return pd.read_parquet(file)


@pytest.fixture(scope="session")
def real_case() -> Case:
    """A BiLSTM and a MiniLM on SST-2's 1,821 labelled test sentences."""
    table = read_real("sst2_test_bilstm_minilm.parquet")
    logits1, logits2 = np.stack(table["tier1_logits"]), np.stack(table["tier2_logits"])
    timing = timing_of(len(table), np.random.default_rng(0))
    answers = np.stack([logits1.argmax(1), logits2.argmax(1)])
    return Case(table["label"].to_numpy(), answers, confidence(logits1)[None], 2, timing)


@pytest.fixture(scope="session", params=["dev", "test"])
def real_tiers(request) -> tuple[ClassOutcomes, np.ndarray, Timing]:
    """A BiLSTM, a MiniLM and an MPNet on SST-2's sentences, with the times they took."""
    table = read_real(f"sst2_{request.param}_three_tiers.parquet")
    logits = np.stack([np.stack(table[f"tier{tier}_logits"]) for tier in (1, 2, 3)])
    outcomes = ClassOutcomes(table["label"].to_numpy(), logits.argmax(axis=2), 2)
    times = ((0.00015, 0.00005), (0.004, 0.001), (0.0111, 0.0056))
    sizes, n = np.array([1, 32]), len(table)
    tiers = tuple(TierTime(np.full(n, one), sizes, np.array([one, many]), best=32) for one, many in times)
    return outcomes, np.stack([confidence(logits[0]), confidence(logits[1])]), Timing(tiers)
