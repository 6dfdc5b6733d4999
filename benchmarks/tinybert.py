"""TinyBERT's stage 1, teacher included, against the way that transformers' own outputs offer, in examples per second.

    python benchmarks/tinybert.py --teacher runs/sst2/teacher --transfer-set runs/sst2/label [--profile]

"padded" is that way: eager attention with output_attentions (which are probabilities), texts in random order padded to
the maximum length, float32, padding part of every mean. "ours" is TinyBertIntermediateModule on the batches that
TransferData makes. Methods take turns, so that a change of the machine's load meets both; medians over the rounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.profiler import ProfilerActivity, profile

from tangodistill.data.length_batches import shuffled_length_batches
from tangodistill.data.tokenize import TokenizedTexts
from tangodistill.data.transfer import load_transfer_set
from tangodistill.models.inputs import tensors
from tangodistill.models.load import load_classifier
from tangodistill.modules import TinyBertIntermediateModule

Batch = dict[str, Tensor]
MATRIX_PRODUCTS = ("aten::addmm", "aten::mm", "aten::bmm", "aten::baddbmm")


def new_module(arguments: argparse.Namespace, label_names: list[str]) -> TinyBertIntermediateModule:
    module = TinyBertIntermediateModule(arguments.teacher, heads=arguments.heads)
    module.build(label_names, arguments.max_length)
    module.place_teacher()
    return module.train()


class Ours:
    """The module's own step."""

    def __init__(self, module: TinyBertIntermediateModule):
        self.module = module
        self.parameters = list(module.parameters())

    def loss(self, batch: Batch) -> Tensor:
        return sum(self.module.losses(batch))


class Padded:
    """What hidden_states and attentions of transformers' outputs give."""

    def __init__(self, module: TinyBertIntermediateModule, teacher: str):
        self.module = module
        self.parameters = list(module.parameters())
        self.teacher = load_classifier(teacher)[0].base_model.eval()
        for model in (self.teacher, module.model):
            model.set_attn_implementation("eager")

    def loss(self, batch: Batch) -> Tensor:
        wanted = {"output_hidden_states": True, "output_attentions": True}
        with torch.no_grad():
            teacher = self.teacher(**batch, **wanted)
        student = self.module.model.base_model(**batch, **wanted)
        layers, maps = self.module.layer_map, [self.module.embedding_map] + [self.module.hidden_map] * 12
        hidden = [teacher.hidden_states[i] for i in (0, *layers)]
        attentions = [teacher.attentions[i - 1] for i in layers]
        return sum(mse_loss(m(s), t) for m, s, t in zip(maps, student.hidden_states, hidden, strict=False)) + sum(
            mse_loss(s, t) for s, t in zip(student.attentions, attentions, strict=True)
        )


def stepper(method: Ours | Padded, batches: Iterator[Batch], steps: int) -> Callable[[], int]:
    """A function that trains some steps and returns how many texts it saw."""
    optimizer = torch.optim.AdamW([p for p in method.parameters if p.requires_grad], lr=5e-5, fused=True)

    def run() -> int:
        seen = 0
        for _ in range(steps):
            batch = next(batches)
            method.loss(batch).backward()
            optimizer.step()
            optimizer.zero_grad()
            seen += len(batch["input_ids"])
        return seen

    return run


def rates(methods: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    """Median examples per second of each method; the first round warms up."""
    found: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(rounds + 1):
        for name, method in methods.items():
            start = time.perf_counter()
            seen = method()
            found[name].append(seen / (time.perf_counter() - start))
    return {name: float(np.median(values[1:])) for name, values in found.items()}


def show_profile(profiler: profile) -> None:
    events = profiler.key_averages()
    print(events.table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=45))
    total = sum(event.self_cpu_time_total for event in events)
    print(f"matrix products: {sum(e.self_cpu_time_total for e in events if e.key in MATRIX_PRODUCTS) / total:.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", required=True, help="folder of a fine-tuned BERT or RoBERTa")
    parser.add_argument("--transfer-set", required=True, help="folder that 'label' wrote")
    parser.add_argument("--heads", type=int, default=12, help="attention heads of the teacher")
    parser.add_argument("--max-length", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="of ours in a round; a tenth of it padded")
    parser.add_argument("--profile", action="store_true", help="where the time of our steps goes, and no comparison")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    rows, manifest = load_transfer_set(arguments.transfer_set, labelled=True)
    module = new_module(arguments, manifest["label_names"])
    part = rows[:: max(1, len(rows) // 20_000)]
    texts = TokenizedTexts.from_texts(
        module.tokenizer, part["text"], part.get("text_pair"), max_length=module.max_length
    )
    size = arguments.batch_size
    bucketed = (tensors(texts.batch(rows)) for rows in shuffled_length_batches(texts.lengths, size, 0, 0))
    ours = stepper(Ours(module), bucketed, arguments.steps)
    print(f"{arguments.threads} threads, batches of {size}, {texts.lengths.mean():.1f} tokens on average")
    if arguments.profile:
        ours()
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            ours()
        show_profile(profiler)
        return
    order = np.random.default_rng(1).permutation(len(texts))
    random = (tensors(texts.batch(order[i : i + size], pad_to=module.max_length)) for i in range(0, len(order), size))
    other = Padded(new_module(arguments, manifest["label_names"]), arguments.teacher)
    padded = stepper(other, random, max(1, arguments.steps // 10))
    found = rates({"ours": ours, "padded": padded}, arguments.rounds)
    print(", ".join(f"{name} {rate:,.0f}/s ({rate / found['padded']:.1f}x)" for name, rate in found.items()))


if __name__ == "__main__":
    main()
