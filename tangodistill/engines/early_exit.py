"""The engine of a DeeBERT model: leaves early, alone or in batches, and tells what each exit costs and says."""

from pathlib import Path
from time import perf_counter
from typing import Self

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from tangodistill.engines.tier_folder import load_tier
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.models.deebert import DeeBertForSequenceClassification
from tangodistill.models.inputs import tensors
from tangodistill.user_error import UserError


class EarlyExitEngine(TorchEngine):
    """A DeeBERT model; `logits` and `batches` give each example's logits at the exit that it takes.

    In a batch only the examples that are still in go through the next layer.
    """

    model: DeeBertForSequenceClassification

    def __init__(
        self,
        model: DeeBertForSequenceClassification,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int | None = None,
        threads: int | None = None,
        precision: str = "fp32",
    ):
        super().__init__(model, tokenizer, max_length, threads, precision)
        self.exits: int = len(model.off_ramps) + 1

    @classmethod
    def load(
        cls, folder: str | Path, precision: str = "fp32", max_length: int | None = None, threads: int | None = None
    ) -> Self:
        """The engine of a folder that the stage deebert wrote.

        Raises:
            UserError: a file is missing or damaged, or the folder holds another model.
        """
        model, tokenizer = load_tier(folder)
        if not isinstance(model, DeeBertForSequenceClassification):
            raise UserError(
                f"{folder} holds a {type(model).__name__}, which has no off-ramps to leave by. Give the folder of a "
                "DeeBERT model (stage deebert)."
            )
        return cls(model, tokenizer, max_length, threads, precision)

    def leave_below(self, entropy: float) -> None:
        """From now on an example leaves at the first off-ramp whose entropy, in nats, is below this (strict)."""
        self.model.config.entropy_threshold = entropy

    @torch.inference_mode()
    def every_exit(
        self, text: str, pair: str | None = None, pad_to_max: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One real run that leaves nowhere: what each exit says, how sure it is, and when it had decided.

        Returns:
            Logits (exits, classes), entropies (exits - 1,) and seconds since the raw text came in (exits,).
        """
        logits, entropies, stamps = [], [], []

        def note(exit_logits: torch.Tensor, exit_entropies: torch.Tensor | None) -> None:
            stamps.append(perf_counter())
            logits.append(exit_logits[0])
            entropies.append(exit_entropies)

        started = perf_counter()
        if pad_to_max:
            inputs = self.encoder.encode([text], None if pair is None else [pair]).batch([0], self.max_length)
        else:
            inputs = self.encoder.encode_one(text, pair)
            del inputs["attention_mask"]
        self.model.leave_early(**tensors(inputs), threshold=0.0, watch=note)
        return torch.stack(logits).numpy(), torch.cat(entropies[:-1]).numpy(), np.array(stamps) - started
