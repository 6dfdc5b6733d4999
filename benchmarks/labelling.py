"""The verb `label` against the same texts tokenised, sorted and held in memory beforehand: what streaming costs.

    python benchmarks/labelling.py runs/sst2/teacher runs/sst2/augment [--rows 50000] [--repeats 2] [--json FILE]

`label` reads the texts from the memory-mapped set, tokenises them, runs the teacher and writes Arrow with a manifest;
the other only runs the teacher. Both sort by length and use bfloat16 where the hardware has it; they take turns.
"""

import argparse
import json
import resource
import shutil
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from tangodistill.augment.labelling import Labeller, label
from tangodistill.data.length_batches import length_batches
from tangodistill.data.tokenize import TokenizedTexts
from tangodistill.data.transfer import load_transfer_set, write_transfer_set
from tangodistill.latency.machine import describe_machine
from tangodistill.models.device import has_bfloat16
from tangodistill.models.inputs import tensors

BATCH_SIZE, MAX_LENGTH = 64, 128


@torch.inference_mode()
def in_memory(labeller: Labeller, tokens: TokenizedTexts) -> float:
    """Seconds of the teacher alone over all texts."""
    started = perf_counter()
    logits = np.empty((len(tokens), len(labeller.label_names)), np.float16)
    for rows in length_batches(tokens.lengths, BATCH_SIZE):
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16(labeller.device)):
            logits[rows] = labeller.model(**tensors(tokens.batch(rows))).logits.float().numpy()
    return perf_counter() - started


def by_label(teacher: str, folder: Path) -> float:
    """Seconds of the verb, loading the model and writing the set included."""
    output = Path(tempfile.mkdtemp())
    started = perf_counter()
    label(str(folder), teacher, str(output / "label"), BATCH_SIZE, MAX_LENGTH)
    seconds = perf_counter() - started
    shutil.rmtree(output)
    return seconds


def part_of(folder: Path, rows: int) -> Path:
    """The first rows of a shuffled set, as a set of their own."""
    full, manifest = load_transfer_set(folder, labelled=False)
    few = full.shuffle(seed=0).select(range(min(rows, len(full)))).flatten_indices()
    part = Path(tempfile.mkdtemp()) / "part"
    write_transfer_set(part, [few.data.table], few.features, {**manifest, "rows": len(few)})
    return part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teacher")
    parser.add_argument("transfer_set", type=Path)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    part = part_of(arguments.transfer_set, arguments.rows)
    rows, _ = load_transfer_set(part, labelled=False)
    labeller = Labeller(arguments.teacher, BATCH_SIZE, MAX_LENGTH)
    pairs = rows["text_pair"][:] if "text_pair" in rows.column_names else None
    tokens = TokenizedTexts.from_texts(labeller.tokenizer, rows["text"][:], pairs, max_length=labeller.max_length)
    seconds: dict[str, list[float]] = {"in memory": [], "label": []}
    for _ in range(arguments.repeats):
        seconds["in memory"].append(in_memory(labeller, tokens))
        seconds["label"].append(by_label(arguments.teacher, part))
    best = {name: min(each) for name, each in seconds.items()}
    for name, each in best.items():
        print(f"{name:12}{len(rows) / each:10,.0f} texts/s")
    share = best["in memory"] / best["label"]
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"label reaches {share:.1%} of it, {tokens.lengths.mean():.1f} tokens a text; peak memory {peak_mib:,.0f} MiB"
    )
    if arguments.json:
        found = {"rows": len(rows), "seconds": seconds, "share": share, "machine": describe_machine()}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
