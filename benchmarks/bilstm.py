"""The BiLSTM on batches of one exact length against packed and merely padded batches, in ratios.

    python benchmarks/bilstm.py [--threads 1] [--batch-size 128] [--texts 16384]

Lengths are drawn like those of movie-review sentences (3 to 60 tokens, 20 on average). "packed" is what PyTorch's own
tutorials do with texts of any length: shuffled batches, padded, then packed. "sorted" packs length-sorted batches.
Methods take turns, so that a change of the machine's load meets all of them; medians over the repeats.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from tangodistill.data.length_batches import length_batches
from tangodistill.data.tokenize import TokenizedTexts
from tangodistill.losses import logit_mse
from tangodistill.models import BiLSTMConfig, BiLSTMForSequenceClassification
from tangodistill.models.inputs import tensors


def random_texts(count: int, vocabulary: int) -> TokenizedTexts:
    random = np.random.default_rng(0)
    lengths = np.clip(random.gamma(4, 5, count), 3, 60).astype(np.int64)
    ids = random.integers(4, vocabulary, lengths.sum(), dtype=np.int32)
    return TokenizedTexts(ids, np.concatenate([[0], np.cumsum(lengths)]), pad_id=0)


def plans(texts: TokenizedTexts, batch_size: int) -> dict[str, list[np.ndarray]]:
    """Batches of each method: exact first, as the others are compared with it."""
    order = np.random.default_rng(1).permutation(len(texts))
    return {
        "exact": length_batches(texts.lengths, batch_size, exact=True),
        "sorted": length_batches(texts.lengths, batch_size),
        "packed": [order[start : start + batch_size] for start in range(0, len(order), batch_size)],
    }


def rates(methods: dict[str, Callable[[], None]], count: int, repeats: int) -> dict[str, float]:
    """Median examples per second of each method; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeats + 1):
        for name, method in methods.items():
            start = time.perf_counter()
            method()
            seconds[name].append(time.perf_counter() - start)
    return {name: count / float(np.median(times[1:])) for name, times in seconds.items()}


def show(title: str, found: dict[str, float]) -> None:
    slowest = found["packed"]
    print(f"{title}: " + ", ".join(f"{name} {rate:,.0f}/s ({rate / slowest:.2f}x)" for name, rate in found.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--texts", type=int, default=16_384)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    model = BiLSTMForSequenceClassification(BiLSTMConfig())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    texts = random_texts(arguments.texts, model.config.vocab_size)
    teacher = torch.randn(arguments.texts, 2)

    @torch.inference_mode()
    def infer(batches: list[np.ndarray]) -> None:
        model.eval()
        for rows in batches:
            model(**tensors(texts.batch(rows)))

    def train(batches: list[np.ndarray], bf16: bool = False) -> None:
        model.train()
        for rows in batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = model(**tensors(texts.batch(rows))).logits
            logit_mse(logits.float(), teacher[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()

    by_method = plans(texts, arguments.batch_size)
    print(f"{arguments.threads} threads, batch {arguments.batch_size}, {texts.lengths.mean():.1f} tokens on average")
    inference = {name: lambda batches=batches: infer(batches) for name, batches in by_method.items()}
    show("inference", rates(inference, arguments.texts, arguments.repeats))
    training = {name: lambda batches=batches: train(batches) for name, batches in by_method.items()}
    training["exact, bf16 autocast"] = lambda: train(by_method["exact"], bf16=True)
    show("training ", rates(training, arguments.texts, arguments.repeats))


if __name__ == "__main__":
    main()
