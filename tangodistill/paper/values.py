"""The numbers that the TangoBERT paper publishes, one record per row of its tables.

Mamou, Pereg, Wasserblat and Schwartz (2022), "TangoBERT: Reducing Inference Cost by using Cascaded Architecture",
Tables 1, 2 and 3 and Figure 4. Metrics stand as printed, ×100.
"""

from dataclasses import dataclass

CITATION = "Mamou et al. (2022), TangoBERT"

Pair = tuple[float, float]
"""Of two values: at 99 % and at 98 % of the second tier's metric."""


@dataclass(frozen=True)
class Published:
    """One row of the paper's tables."""

    row: str
    task: str
    metric: str
    tiers: tuple[str, str]
    sizes: tuple[float, float, float]
    """Unlabelled, train and test examples, in thousands."""
    second_tier: float
    """The second tier's metric."""
    speedups: dict[str, Pair]
    """At batch 1, of `deebert`, `random`, `cascade` and `oracle`; what the paper leaves open is absent."""
    throughput: tuple[int, int, int]
    """Examples per second at batch 1: of the second tier, at 99 % and at 98 %."""
    throughput_best_batch: tuple[int, int, int]


def _speedups(deebert: Pair | None, random: Pair, cascade: Pair, oracle: Pair) -> dict[str, Pair]:
    found = {"deebert": deebert, "random": random, "cascade": cascade, "oracle": oracle}
    return {kind: pair for kind, pair in found.items() if pair}


PUBLISHED = (
    Published(
        row="CoLA",
        task="cola",
        metric="mcc",
        tiers=("TinyBERT4", "BERT"),
        sizes=(172, 8.6, 0.5),
        second_tier=55.0,
        speedups=_speedups((1.3, 1.3), (1.3, 1.5), (1.5, 1.5), (3.2, 3.3)),
        throughput=(3, 4, 4),
        throughput_best_batch=(9, 14, 14),
    ),
    Published(
        row="MRPC (BERT)",
        task="mrpc",
        metric="f1",
        tiers=("BiLSTM", "BERT"),
        sizes=(768, 3.7, 0.5),
        second_tier=90.8,
        speedups=_speedups((1.2, 1.4), (1.5, 1.8), (2.0, 2.7), (7.9, 9.7)),
        throughput=(5, 10, 14),
        throughput_best_batch=(19, 38, 52),
    ),
    Published(
        row="MRPC (RoBERTa)",
        task="mrpc",
        metric="f1",
        tiers=("BiLSTM", "RoBERTa"),
        sizes=(768, 3.7, 0.5),
        second_tier=93.3,
        speedups=_speedups((1.2, 1.5), (1.2, 1.3), (2.1, 2.9), (6.5, 7.3)),
        throughput=(6, 11, 15),
        throughput_best_batch=(15, 31, 43),
    ),
    Published(
        row="QNLI",
        task="qnli",
        metric="accuracy",
        tiers=("TinyBERT4", "BERT"),
        sizes=(2095, 104.7, 5.5),
        second_tier=91.4,
        speedups=_speedups((1.5, 1.6), (1.0, 1.6), (2.6, 3.2), (3.9, 4.1)),
        throughput=(3, 7, 9),
        throughput_best_batch=(12, 38, 50),
    ),
    Published(
        row="SQuAD",
        task="squad",
        metric="f1",
        tiers=("Dynamic-TinyBERT4", "BERT"),
        sizes=(0, 88.1, 10.7),
        second_tier=88.2,
        speedups=_speedups(None, (1.1, 1.3), (1.7, 2.5), (3.6, 4.2)),
        throughput=(1, 2, 3),
        throughput_best_batch=(3, 6, 8),
    ),
    Published(
        row="SST-2",
        task="sst2",
        metric="accuracy",
        tiers=("BiLSTM", "RoBERTa"),
        sizes=(800, 67.4, 1.8),
        second_tier=95.8,
        speedups=_speedups((1.4, 1.8), (1.2, 1.5), (4.3, 6.1), (11.5, 13.9)),
        throughput=(9, 36, 53),
        throughput_best_batch=(20, 95, 163),
    ),
)

ERRORS_NOTE = "In the paper's Figure 4 the lowest bin of CoLA holds 5.6 % F→T and 2.9 % T→F."
