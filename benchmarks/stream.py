"""Time per row and peak memory of `predict_iter` over inputs of growing length, which both should not depend on it.

    python benchmarks/stream.py runs/demo/cascade [--rows 10000 100000 1000000] [--threshold 0.9]

The rows repeat the cascade's calibration texts. Each length runs in a process of its own, for the sake of its peak
memory; the model's loading is not timed.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path

from tangodistill import CascadePredictor


def run(folder: Path, texts: list[str], rows: int, threshold: float | None) -> dict[str, float]:
    """One length, after a warm-up of a chunk."""
    predictor = CascadePredictor.from_pretrained(folder)
    predictor.predict(texts[:200], threshold)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, deferred = time.perf_counter(), 0
    for answer in predictor.predict_iter(islice(cycle(texts), rows), threshold):
        deferred += answer.tier == 2
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "rows": rows,
        "us_per_row": seconds / rows * 1e6,
        "rows_per_s": rows / seconds,
        "deferred": deferred / rows,
        "loaded_mib": before / 1024,
        "peak_mib": after / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cascade", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--threshold", type=float, help="instead of the cascade's own; 0 is the first tier alone")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        texts = json.load(sys.stdin)
        print(json.dumps(run(arguments.cascade, texts, arguments.rows[0], arguments.threshold)))
        return
    import pandas as pd  # not in the processes that are measured

    texts = json.dumps(pd.read_parquet(arguments.cascade / "calibration_predictions.parquet")["text"].tolist())
    for rows in arguments.rows:
        command = [sys.executable, __file__, str(arguments.cascade), "--one", "--rows", str(rows)]
        command += [] if arguments.threshold is None else ["--threshold", str(arguments.threshold)]
        found = json.loads(subprocess.run(command, input=texts, capture_output=True, text=True, check=True).stdout)
        print(
            f"{rows:>9,} rows: {found['us_per_row']:7.1f} us a row ({found['rows_per_s']:,.0f}/s), "
            f"{found['deferred']:.1%} deferred, {found['peak_mib']:.0f} MiB at peak, {found['loaded_mib']:.0f} before"
        )


if __name__ == "__main__":
    main()
