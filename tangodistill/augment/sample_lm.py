"""New texts from a causal language model of the task's text, without labels.

The recipe of Tang, Lu & Lin (2019), "Natural Language Generation for Effective Knowledge Distillation", and of the
TangoBERT paper for SST-2 and MRPC: ancestral sampling after a first token drawn as the training texts have it, or after
a label drawn by its share of them, until the model ends the text.
"""

from dataclasses import dataclass

import numpy as np

from tangodistill.augment.generator import SamplingGenerator
from tangodistill.data.language_text import from_line
from tangodistill.user_error import UserError

PREFIX_TEXTS = 100_000  # that the first tokens are counted in


@dataclass(frozen=True)
class SampleLmConfig(SamplingGenerator):
    """How texts are sampled from a language model that ``fit`` made of the task's text."""

    name = "lm"

    model: str
    """Folder of the stage ``language_model``, or any causal language model by folder or hub name."""
    num_samples: int = 800_000
    """Texts written; what is kept are those that end, are well formed, new, and leak nothing."""
    top_p: float = 1.0
    """Draw among the likeliest tokens that hold this probability together."""
    temperature: float = 1.0
    max_new_tokens: int = 128
    """A text without an end by then is dropped."""
    batch_size: int = 512
    """Texts written side by side."""
    share: float | None = None
    """Of the generated texts in the set; by default what each generator yields."""

    def check(self) -> None:
        """Raises UserError for a number that is out of its range."""
        for name in ("num_samples", "max_new_tokens", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"lm.{name} is {getattr(self, name)}: it must be at least 1.")
        if not 0 < self.top_p <= 1:
            raise UserError(f"lm.top_p is {self.top_p}: a share of the probability, above 0 and at most 1.")
        if self.temperature <= 0:
            raise UserError(f"lm.temperature is {self.temperature}: it must be above 0.")

    def write(
        self, count: int, originals: list[list[str]], rng: np.random.Generator
    ) -> tuple[list[list[str]], dict[str, int]]:
        return write_texts(count, originals, self, rng)


def write_texts(
    count: int, originals: list[list[str]], config: SampleLmConfig, rng: np.random.Generator
) -> tuple[list[list[str]], dict[str, int]]:
    """New examples, one list per side, and the account of the others: ``unfinished`` and ``malformed``.

    On a CPU everything runs on one thread: workers share the cores, and sums stay in one order.

    Args:
        count: texts to write.
        originals: one list of training texts per side, for the first tokens.
        rng: draws the prefixes and seeds the model's draws.

    Raises:
        UserError: the model can't be loaded.
    """
    import torch

    from tangodistill.augment.causal_model import Writer

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        writer = Writer.load(config.model)
        prefixes, chance = writer.prefixes(tuple(tuple(side) for side in originals))
        drawn = rng.choice(len(prefixes), count, p=chance)
        generator = torch.Generator(writer.model.device).manual_seed(int(rng.integers(2**63)))
        written: list[tuple[list[int], bool]] = []
        for start in range(0, count, config.batch_size):
            batch = [prefixes[i] for i in drawn[start : start + config.batch_size]]
            written += writer.sample(batch, config, generator)
    finally:
        torch.set_num_threads(threads)
    lines = writer.tokenizer.batch_decode([ids for ids, ended in written if ended], skip_special_tokens=True)
    rows = [from_line(line, sides=len(originals)) for line in map(writer.without_label, lines)]
    kept = [row for row in rows if row]
    counts = {"unfinished": count - len(rows), "malformed": len(rows) - len(kept)}
    return [list(side) for side in zip(*kept, strict=True)] or [[] for _ in originals], counts
