"""A masked language model of the task's text, for transfer sets whose words it fills in."""

from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModelForMaskedLM

from tangodistill.data.tokenize import TokenizedTexts
from tangodistill.models.positions import position_limit
from tangodistill.modules.datamodules import columns
from tangodistill.modules.language_model import load_language_model
from tangodistill.modules.processes import gathered
from tangodistill.modules.trained import TrainedModule
from tangodistill.user_error import UserError


class MaskedLanguageModelModule(TrainedModule):
    """A masked language model of the train role's texts, for mask-fill: any encoder, with or without a head of its own.

    15 % of the tokens are asked for: 80 % of those masked, 10 % replaced at random, 10 % left (Devlin et al. 2019).

    Args:
        pretrained: hub name or folder of a masked language model, or of an encoder, which gets a new head.
        max_length: tokens that are learnt of a text.
        lr: peak learning rate.
        weight_decay: of AdamW.
        warmup_fraction: share of the steps with a rising learning rate.
    """

    share = 0.15  # of the tokens

    def __init__(
        self,
        pretrained: str,
        max_length: int = 128,
        lr: float = 5e-5,
        weight_decay: float = 0.01,
        warmup_fraction: float = 0.1,
    ):
        super().__init__(lr, weight_decay, warmup_fraction)
        self.pretrained, self.max_length = pretrained, max_length

    @property
    def score_name(self) -> str:
        return "accuracy"

    def setup(self, stage: str) -> None:
        self.model, self.tokenizer = load_language_model(self.pretrained, AutoModelForMaskedLM, "masked language model")
        if self.tokenizer.mask_token_id is None:
            raise UserError(f"{self.pretrained}: its tokenizer has no mask token, so it is no masked language model.")
        self.max_length = min(self.max_length, position_limit(self.model) or self.max_length)

    def encode(self, rows: Dataset, seed: int | None = None) -> TokenizedTexts:
        """The rows of a role as this model reads them."""
        return TokenizedTexts.from_texts(self.tokenizer, *columns(rows), max_length=self.max_length)

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Logits ``(asked, vocabulary)`` of the positions that ``batch["asked"]`` marks."""
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in batch}
        with self.autocast():
            return self.model(**inputs).logits[batch["asked"]].float()

    def _masked(self, batch: dict[str, Any], generator: torch.Generator | None = None) -> dict[str, Any]:
        """A batch with some tokens hidden, ``asked`` (batch, length) where, and ``answers`` (asked,) what they were."""
        ids = batch["input_ids"].clone()
        special = torch.isin(ids, torch.tensor(self.tokenizer.all_special_ids, device=ids.device))
        draw = torch.rand(ids.shape, generator=generator).to(ids.device)
        asked = (draw < self.share) & ~special
        if not asked.any():
            asked = (draw == draw.masked_fill(special, 2).min()) & ~special
        ids[draw < 0.8 * self.share] = self.tokenizer.mask_token_id
        replaced = (draw >= 0.8 * self.share) & (draw < 0.9 * self.share)
        ids[replaced] = torch.randint(len(self.tokenizer), ids.shape, generator=generator).to(ids.device)[replaced]
        answers = batch["input_ids"][asked]
        return {**batch, "input_ids": torch.where(special, batch["input_ids"], ids), "asked": asked, "answers": answers}

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        masked = self._masked(batch)
        loss = cross_entropy(self(masked), masked["answers"]) if len(masked["answers"]) else 0 * self(masked).sum()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self._right, self._asked = 0, 0
        self._generator = torch.Generator().manual_seed(0)  # every validation asks for the same tokens

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        masked = self._masked(batch, self._generator)
        self._right += int((self(masked).argmax(-1) == masked["answers"]).sum())
        self._asked += len(masked["answers"])

    def on_validation_epoch_end(self) -> None:
        right, asked = (sum(parts) for parts in zip(*gathered((self._right, self._asked)), strict=True))
        share = right / max(asked, 1)
        self.log_dict({"val/accuracy": share, "val/score": share}, prog_bar=True, sync_dist=True)
