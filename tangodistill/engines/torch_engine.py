"""The PyTorch engine: runs a tier folder as it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tangodistill.data.tokenize import TextEncoder
from tangodistill.data.windows import WindowEncoder
from tangodistill.engines.engine import Engine, TierFacts
from tangodistill.engines.engine_key import Lengths, lengths_name
from tangodistill.engines.forked import with_openmp
from tangodistill.engines.tier_folder import load_tier
from tangodistill.models.bilstm import BiLSTMForSequenceClassification
from tangodistill.models.dynamic_tinybert import DynamicBert
from tangodistill.models.inputs import tensors
from tangodistill.models.length_configuration import checked
from tangodistill.models.outputs import tier_outputs
from tangodistill.models.positions import position_limit
from tangodistill.models.trial import try_out
from tangodistill.user_error import UserError

NO_LIMIT = 1_000_000  # tokens; a tokenizer without a limit says 1e30, which its Rust core can't hold


class TorchEngine(Engine):
    """One tier, run by PyTorch.

    Args:
        model: sequence classifier in eval mode; converted in place where the precision is bf16.
        tokenizer: the tier's own.
        precision: fp32 or bf16. Others: see `Engine`.
        length_configuration: written into the model's config, for it to run by.
    """

    name = "torch"

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int | None = None,
        threads: int | None = None,
        precision: str = "fp32",
        length_configuration: Sequence[float] | None = None,
    ):
        lengths = None if length_configuration is None else _shorten(model, length_configuration)
        self.model = model.bfloat16() if precision == "bf16" else model
        facts = facts_of(model, tokenizer)
        length = min(max_length or facts.max_length, facts.max_length)
        encoder = WindowEncoder if facts.kind == "spans" else TextEncoder
        super().__init__(facts, encoder.of(tokenizer, length), precision, threads, lengths)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        precision: str = "fp32",
        max_length: int | None = None,
        threads: int | None = None,
        length_configuration: Sequence[float] | None = None,
    ) -> Self:
        model, tokenizer = load_tier(folder)
        if model.config.num_labels < 2:
            raise UserError(f"{folder} has one output (a regression head); a tier needs two labels or more.")
        limit = facts_of(model, tokenizer).max_length
        try_out(model, tokenizer, min(max_length or limit, limit))
        return cls(model, tokenizer, max_length, threads, precision, length_configuration)

    def _forward(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return with_openmp(self._run, inputs)

    @torch.inference_mode()
    def _run(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        threads = self.threads or min(torch.get_num_threads(), self.cores)
        if torch.get_num_threads() != threads:  # a thread's own setting, in PyTorch
            torch.set_num_threads(threads)
        if inputs["attention_mask"].all():  # spares the model making and applying a mask
            del inputs["attention_mask"]
        return tier_outputs(self.model(**tensors(inputs))).float().numpy()


def _shorten(model: PreTrainedModel, lengths: Sequence[float]) -> Lengths:
    """The configuration on its grid, by which the model runs from now on."""
    if not isinstance(model, DynamicBert):
        raise UserError(
            f"{model.name_or_path} is a {model.config.model_type} model, which keeps all tokens: only a "
            f"Dynamic-TinyBERT runs by a length configuration, such as {lengths_name(lengths)}."
        )
    own = checked(lengths, model.config.num_hidden_layers)
    model.config.length_configuration = list(own)
    return own


def facts_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> TierFacts:
    """What every engine of this tier must know."""
    spans = isinstance(getattr(model, "qa_outputs", None), torch.nn.Module)
    limits = (tokenizer.model_max_length, position_limit(model), NO_LIMIT)
    return TierFacts(
        source=model.name_or_path,
        label_names=() if spans else tuple(model.config.id2label[i] for i in range(model.config.num_labels)),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        max_length=min(limit for limit in limits if limit is not None),
        exact_length=isinstance(model, BiLSTMForSequenceClassification),
        pad_id=tokenizer.pad_token_id,
        with_type_ids="token_type_ids" in tokenizer.model_input_names,
        truncation_side=tokenizer.truncation_side,
        padding_side=tokenizer.padding_side,
        kind="spans" if spans else "classification",
    )
