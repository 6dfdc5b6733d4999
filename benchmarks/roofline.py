"""How near each tier of a cascade comes to what this machine can calculate, and where the rest of its time goes.

    python benchmarks/roofline.py runs/demo/cascade [--repeats 5]

Arithmetic is counted from the tier's weights: two operations for each weight of a recurrent or encoder layer and token,
and for each weight of the head and text, and attention's 4 · length · hidden · layers a token. The peak is the best of
square matrix products in the tier's precision (int8 is held against bf16). The texts are the cascade's
calibration texts, without second texts.
"""

import argparse
import time
from functools import partial
from operator import matmul
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from tangodistill.data.length_batches import tokens_per_text
from tangodistill.engines.engine import Engine
from tangodistill.engines.loading import recorded_engine
from tangodistill.engines.tier_folder import load_tier
from tangodistill.latency.machine import cpu_model
from tangodistill.predictor.cascade_folder import read_cascade


def peak_gflops(precision: str, size: int = 2048, repeats: int = 10) -> float:
    """Of a product of two square matrices on all cores, by the faster of PyTorch and, in fp32, NumPy."""
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    operands = [(torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype))]
    if precision == "fp32":
        operands.append(tuple(matrix.numpy() for matrix in operands[0]))
    best = min(seconds_of(partial(matmul, *pair)) for pair in operands for _ in range(repeats))
    return 2 * size**3 / best / 1e9


def seconds_of(run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def operations(model: nn.Module, lengths: np.ndarray) -> float:
    """Of all texts, without their padding."""
    per_token, per_text, tokens = 0, 0, float(lengths.sum())
    for name, module in model.named_modules():
        if isinstance(module, nn.LSTM):
            per_token += 2 * sum(p.numel() for key, p in module.named_parameters() if key.startswith("weight"))
        elif isinstance(module, nn.Linear):
            count = 2 * module.weight.numel()
            per_token, per_text = (
                (per_token + count, per_text) if ".encoder." in name else (per_token, per_text + count)
            )
    layers, hidden = getattr(model.config, "num_hidden_layers", 0), getattr(model.config, "hidden_size", 0)
    attention = 4 * hidden * layers * float((lengths.astype(float) ** 2).sum()) if hasattr(model, "bert") else 0
    return per_token * tokens + per_text * len(lengths) + attention


def report(engine: Engine, model: nn.Module, batch_size: int, texts: list[str], repeats: int) -> None:
    lengths = engine.lengths(texts)
    work, peak = operations(model, lengths), peak_gflops(engine.precision)
    batched = min(seconds_of(lambda: engine.outputs(texts, batch_size=batch_size)) for _ in range(repeats))
    few = texts[:200]
    single = min(seconds_of(lambda: engine.outputs(few)) for _ in range(repeats)) / len(few)
    tokenised = min(seconds_of(lambda: engine.encoder.encode(texts)) for _ in range(repeats))
    padding = tokens_per_text(lengths, batch_size, engine.facts.exact_length) / lengths.mean() - 1
    ideal = work / len(texts) / peak / 1e9
    print(
        f"{engine.key}, batches of {batch_size}: {len(texts) / batched:,.0f} texts/s of {lengths.mean():.1f} tokens\n"
        f"  {work / len(texts) / 1e6:.1f} MFLOP a text; {work / batched / 1e9:.0f} of {peak:.0f} GFLOP/s "
        f"({work / batched / 1e9 / peak:.0%}); tokenisation {tokenised / batched:.0%} of the time, "
        f"padding {padding:.0%} more tokens\n"
        f"  one at a time: {single * 1e3:.3f} ms, of which the arithmetic at the peak would take {ideal * 1e3:.3f} "
        f"({ideal / single:.0%})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cascade", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    record = read_cascade(arguments.cascade)
    texts = pd.read_parquet(arguments.cascade / "calibration_predictions.parquet")["text"].tolist()
    print(f"{cpu_model()}, {torch.get_num_threads()} threads; {len(texts):,} calibration texts")
    for tier in record.tiers:
        engine = recorded_engine(arguments.cascade, tier)
        report(engine, load_tier(arguments.cascade / tier.path)[0], tier.batch_size, texts, arguments.repeats)


if __name__ == "__main__":
    main()
