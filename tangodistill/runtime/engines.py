"""The PyTorch engine: from raw texts to a tier's logits, tokenisation included."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tangodistill.data.length_batches import length_batches
from tangodistill.data.tokenize import TextEncoder
from tangodistill.models.bilstm import BiLSTMForSequenceClassification
from tangodistill.models.load import position_limit
from tangodistill.runtime.tier_folder import load_tier
from tangodistill.user_error import UserError

NO_LIMIT = 1_000_000  # tokens; a tokenizer without a limit says 1e30, which its Rust core can't hold


class TorchEngine:
    """One tier, run by PyTorch in fp32 on the CPU. An example's logits don't depend on the batch that it is in.

    Args:
        model: sequence classifier in eval mode.
        tokenizer: the tier's own.
        max_length: tokens kept of an example, special ones included; never more than model and tokenizer allow.
        threads: PyTorch's threads while this engine runs; None leaves them as they are.
    """

    name = "torch"
    precision = "fp32"

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int | None = None,
        threads: int | None = None,
    ):
        self.model = model
        self.label_names: tuple[str, ...] = tuple(model.config.id2label[i] for i in range(model.config.num_labels))
        self.parameters: int = sum(parameter.numel() for parameter in model.parameters())
        limits = (max_length, tokenizer.model_max_length, position_limit(model), NO_LIMIT)
        self.max_length: int = min(limit for limit in limits if limit is not None)
        self.threads = threads
        # a recurrent first tier pays for every padded step, and short batches of one length need none
        self.exact_length = isinstance(model, BiLSTMForSequenceClassification)
        self._encoder = TextEncoder(tokenizer, self.max_length)

    @classmethod
    def load(cls, folder: str | Path, max_length: int | None = None, threads: int | None = None) -> "TorchEngine":
        """The engine of a tier folder (config.json, model.safetensors, tokenizer.json).

        Raises:
            UserError: a file is missing or damaged; names it.
        """
        model, tokenizer = load_tier(folder)
        if model.config.num_labels < 2:
            raise UserError(f"{folder} has one output (a regression head); a tier needs two labels or more.")
        return cls(model, tokenizer, max_length, threads)

    def logits(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        batch_size: int = 1,
        pad_to_max: bool = False,
    ) -> np.ndarray:
        """Logits (n, classes), float32, in the order of the texts and of this tier's own `label_names`.

        Args:
            texts: n texts. pairs: their n second texts.
            batch_size: examples per forward pass.
            pad_to_max: pad every example to `max_length` (the paper's protocol) instead of to the longest in its batch.
        """
        logits = np.empty((len(texts), len(self.label_names)), np.float32)
        for rows, batch_logits in self.batches(texts, pairs, batch_size, pad_to_max):
            logits[rows] = batch_logits
        return logits

    def batches(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        batch_size: int = 1,
        pad_to_max: bool = False,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (rows (b,), logits (b, classes)) as the batches are done: similar lengths together, each row once."""
        if self.threads and torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        pad_to = self.max_length if pad_to_max else None
        if (batch_size == 1 or len(texts) == 1) and not pad_to_max:
            for row, text in enumerate(texts):
                yield np.array([row]), self._single(text, None if pairs is None else pairs[row])
            return
        tokens = self._encoder.encode(texts, pairs)
        for rows in length_batches(tokens.lengths, batch_size, exact=self.exact_length and not pad_to_max):
            inputs = tokens.batch(rows, pad_to)
            if inputs["input_ids"].shape[1] == tokens.lengths[rows].min():
                del inputs["attention_mask"]  # nothing is padded: spares the model making and applying a mask
            yield rows, self._forward(inputs)

    def _single(self, text: str, pair: str | None) -> np.ndarray:
        """Logits (1, classes) of one example, with as little around the forward pass as there can be."""
        inputs = self._encoder.encode_one(text, pair)
        del inputs["attention_mask"]
        return self._forward(inputs)

    def lengths(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """Tokens (n,) that the model gets of each example."""
        return self._encoder.encode(texts, pairs).lengths

    @torch.inference_mode()
    def _forward(self, inputs: dict[str, torch.Tensor]) -> np.ndarray:
        return self.model(**inputs).logits.numpy()


def label_columns(engine: TorchEngine, label_names: Sequence[str]) -> np.ndarray:
    """Columns (classes,) of the engine's logits that hold the given labels: compared by name, never by position.

    Raises:
        UserError: the engine knows other labels.
    """
    if set(engine.label_names) != set(label_names):
        raise UserError(
            f"{engine.model.name_or_path} answers with the labels {', '.join(engine.label_names)}, but here they are "
            f"{', '.join(label_names)}. Both must hold the same names: correct id2label in its config.json."
        )
    return np.array([engine.label_names.index(name) for name in label_names])
