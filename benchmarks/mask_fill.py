"""Time per variant of mask-fill against nlpaug's ContextualWordEmbsAug: same model, same texts, one thread each.

    python benchmarks/mask_fill.py SST-2 --model path/to/bert [--texts 500] [--nlpaug-texts 50] [--rounds 3]
    python benchmarks/mask_fill.py SST-2 --random

SST-2 is a GLUE folder with train.tsv. Both make 20 variants of each text: nlpaug as it is called, text by text, this
package as a worker process calls it. The two alternate, a slice of the texts in each round. nlpaug replaces the same
share of words, among the same words. `--random` takes random weights of MiniLM's size, as the time does not depend on
their values. GloVe's file is loaded before anything is timed, and its neighbourhoods are looked for anew.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import torch
import transformers

from tangodistill.augment import nlpaug_bridge
from tangodistill.augment.candidates import load_neighbours
from tangodistill.augment.mask_fill import STOP_WORDS, MaskFillConfig, vary
from tangodistill.augment.masked_model import load_masked_model
from tangodistill.data.packages import resolve

VARIANTS = 20


@contextmanager
def model_folder(given: str | None) -> Iterator[str]:
    """The given model, or one of MiniLM's size with random weights, for as long as it is needed."""
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="random-bert-") as folder:
        source = resolve("package:minilm-l6")
        transformers.AutoTokenizer.from_pretrained(source).save_pretrained(folder)
        torch.manual_seed(0)
        config = transformers.AutoConfig.from_pretrained(source)
        transformers.BertForMaskedLM(config).save_pretrained(folder)
        yield folder


def nlpaug_way(config: MaskFillConfig, kind: str) -> Callable[[list[str]], None]:
    nlpaug_bridge._repair()
    from nlpaug.augmenter.word import ContextualWordEmbsAug

    augmenter = ContextualWordEmbsAug(
        model_path=config.model, model_type=kind, top_k=config.candidates, aug_p=config.p, aug_max=None,
        stopwords=sorted(STOP_WORDS), force_reload=True,
    )  # fmt: skip

    def make(texts: list[str]) -> None:
        for text in texts:
            augmenter.augment(text, n=VARIANTS)

    return make


def our_way(config: MaskFillConfig, bfloat16: bool | None) -> Callable[[list[str]], None]:
    """``bfloat16`` None leaves the precision to the machine, as runs do."""
    neighbours = load_neighbours(config.glove)
    loaded = load_masked_model(config.model)
    precision = loaded.bfloat16 if bfloat16 is None else bfloat16

    def make(texts: list[str]) -> None:
        neighbours.known.clear()
        loaded.bfloat16 = precision
        vary([text for text in texts for _ in range(VARIANTS)], config, np.random.default_rng(0))

    return make


def seconds_per_variant(make: Callable[[list[str]], None], texts: list[str]) -> float:
    started = time.perf_counter()
    make(texts)
    return (time.perf_counter() - started) / (len(texts) * VARIANTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="GLUE folder with train.tsv")
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--model", help="folder of a masked language model")
    model.add_argument("--random", action="store_true")
    parser.add_argument("--kind", default="bert", choices=("bert", "roberta"), help="what nlpaug is told")
    parser.add_argument("--texts", type=int, default=600)
    parser.add_argument("--nlpaug-texts", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sentences = pd.read_csv(arguments.data / "train.tsv", sep="\t", quoting=3)["sentence"].str.strip()
    texts = sentences.sample(arguments.texts, random_state=0).tolist()
    with model_folder(arguments.model) as folder:
        alone = MaskFillConfig(folder, context="none")
        ways = {
            "nlpaug": nlpaug_way(alone, arguments.kind),
            "none": our_way(alone, None),
            "none, fp32": our_way(alone, False),
            "original": our_way(replace(alone, context="original"), None),
        }
        times = measure(ways, texts, arguments.nlpaug_texts, arguments.rounds)
    show(times, arguments.json)


def measure(
    ways: dict[str, Callable[[list[str]], None]], texts: list[str], nlpaug_texts: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds per variant of each way, round by round; nlpaug gets the first few of each round's texts."""
    for make in ways.values():
        make(texts[:2])
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        part = texts[number::rounds]
        for name, make in ways.items():
            few = part[: nlpaug_texts // rounds] if name == "nlpaug" else part
            times[name].append(seconds_per_variant(make, few))
    return times


def show(times: dict[str, list[float]], file: Path | None) -> None:
    found = {name: {"us_per_variant": median(each) * 1e6, "rounds": each} for name, each in times.items()}
    for name, result in found.items():
        result["speedup"] = median(theirs / ours for theirs, ours in zip(times["nlpaug"], times[name], strict=True))
        print(f"{name:>12}: {result['us_per_variant']:10,.0f} us a variant, {result['speedup']:7.1f} x nlpaug")
    print(json.dumps(found))
    if file:
        file.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
