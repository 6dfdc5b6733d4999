"""A causal language model at work: many texts side by side, each from its first tokens to its end."""

import inspect
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from tangodistill.data.hub_access import spare_the_wait
from tangodistill.data.language_text import CONDITIONING, PREFIXES, to_lines
from tangodistill.data.packages import resolve
from tangodistill.user_error import UserError

COMPACT_AT = 0.8  # share of a batch still being written below which the finished rows are taken out


class Sampling(Protocol):
    """How texts are drawn."""

    top_p: float
    temperature: float
    max_new_tokens: int


class Writer:
    """A causal language model at work."""

    def __init__(self, model: Any, tokenizer: Any):
        self.model, self.tokenizer = model, tokenizer
        self.labels: dict[str, int] | None = getattr(model.config, PREFIXES, None)
        self.conditioned = getattr(model.config, CONDITIONING, "none") == "label"
        takes = inspect.signature(model.forward).parameters
        self.cache_name = "cache" if "cache" in takes else "past_key_values"  # renamed by transformers 5.24

    @classmethod
    @lru_cache(maxsize=1)
    def load(cls, name_or_folder: str) -> "Writer":
        folder = str(resolve(name_or_folder))
        spare_the_wait(folder)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise UserError(
                f"lm.model {name_or_folder!r}: no causal language model could be loaded ({reason}). Give the folder of "
                "the stage language_model, another local one, or a hub name while the hub can be reached."
            ) from error
        return cls(model.eval().to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer)

    @lru_cache(maxsize=1)  # noqa: B019  one writer lives as long as its process
    def prefixes(self, originals: tuple[tuple[str, ...], ...]) -> tuple[list[list[int]], np.ndarray]:
        """Token ids that texts begin with, and the probability of each."""
        if self.conditioned:
            counts = {tuple(self._encode(label)): count for label, count in self.labels.items()}
        else:
            adds = self.tokenizer.num_special_tokens_to_add() > 0  # then a start of its own opens every text
            lines = to_lines(*(list(side) for side in originals))
            encoded = self.tokenizer(lines)["input_ids"]
            values, numbers = np.unique([ids[0] for ids in encoded if ids], return_counts=True)
            counts = {(int(value),): int(number) for value, number in zip(values, numbers, strict=True)}
            if adds:
                counts = {max(counts, key=counts.get): 1}
        total = sum(counts.values())
        return [list(ids) for ids in counts], np.array(list(counts.values())) / total

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer(text)["input_ids"]

    def without_label(self, line: str) -> str:
        return line.partition("\t")[2] if self.conditioned else line

    @torch.inference_mode()
    def sample(
        self, prefixes: list[list[int]], config: Sampling, generator: torch.Generator
    ) -> list[tuple[list[int], bool]]:
        """The tokens of each text, prefix included, and whether it ended; one key-value cache for texts of one prefix
        length."""
        results: list[tuple[list[int], bool]] = [([], False)] * len(prefixes)
        for length in sorted({len(prefix) for prefix in prefixes}):
            rows = [row for row, prefix in enumerate(prefixes) if len(prefix) == length]
            found = self._sample_alike([prefixes[row] for row in rows], config, generator)
            for row, result in zip(rows, found, strict=True):
                results[row] = result
        return results

    def _sample_alike(
        self, prefixes: list[list[int]], config: Sampling, generator: torch.Generator
    ) -> list[tuple[list[int], bool]]:
        """As `sample`, of prefixes of one length. Finished texts leave the batch, so short ones don't wait for long."""
        device, end = self.model.device, self.tokenizer.eos_token_id
        ids = torch.tensor(prefixes, device=device)
        steps = min(config.max_new_tokens, self._room(ids.shape[1]))
        texts = torch.full((len(ids), ids.shape[1] + steps), end, device=device)
        texts[:, : ids.shape[1]] = ids
        lengths = torch.zeros(len(ids), dtype=torch.long, device=device)  # 0: not ended
        rows, alive, cache = torch.arange(len(ids), device=device), torch.ones(len(ids), dtype=bool), DynamicCache()
        for position in range(ids.shape[1], texts.shape[1]):
            logits = self.model(ids, **{self.cache_name: cache}, use_cache=True, logits_to_keep=1).logits[:, -1]
            ids = draw(logits.float(), config.top_p, config.temperature, generator)[:, None]
            texts[rows, position] = torch.where(alive.to(device), ids[:, 0], end)
            ended = (ids[:, 0] == end).cpu() & alive
            lengths[rows[ended.to(device)]] = position
            alive &= ~ended
            if not alive.any():
                break
            if alive.float().mean() < COMPACT_AT:
                kept = torch.nonzero(alive)[:, 0].to(device)
                cache.batch_select_indices(kept)
                rows, ids, alive = rows[kept], ids[kept], torch.ones(len(kept), dtype=bool)
        ends = lengths.tolist()
        return [(row[:stop], stop > 0) for row, stop in zip(texts.tolist(), ends, strict=True)]

    def _room(self, length: int) -> int:
        """New tokens that the model has positions for."""
        limit = getattr(self.model.config, "max_position_embeddings", None)
        return limit - length if limit else 2**31


def draw(logits: torch.Tensor, top_p: float, temperature: float, generator: torch.Generator) -> torch.Tensor:
    """A random token id of each row of logits ``(batch, vocabulary)``, among those that hold ``top_p`` together.

    >>> draw(torch.tensor([[0.0, 9.0, 0.0]]), 0.9, 1.0, torch.Generator().manual_seed(0)).tolist()
    [1]
    """
    chances = torch.softmax(logits / temperature, dim=-1)
    if top_p < 1:
        chances, order = chances.sort(dim=-1, descending=True)
        before = chances.cumsum(dim=-1) - chances
        chances = chances.masked_fill(before >= top_p, 0)  # the token that crosses the bound stays
        return order.gather(1, torch.multinomial(chances, 1, generator=generator))[:, 0]
    return torch.multinomial(chances, 1, generator=generator)[:, 0]
