"""A causal language model of the task's text, for transfer sets that are sampled from it."""

import math
from typing import Any, Literal

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from tangodistill.data.hub_access import spare_the_wait
from tangodistill.data.language_text import CONDITIONING, PREFIXES, SEPARATOR, to_lines
from tangodistill.data.packages import resolve
from tangodistill.data.sources import DatasetConfig
from tangodistill.data.tokenize import TextEncoder, TokenizedTexts
from tangodistill.models.load import quietly
from tangodistill.models.positions import position_limit
from tangodistill.modules.batches import EvaluationBatches, TrainBatches
from tangodistill.modules.datamodules import RoleData, columns
from tangodistill.modules.processes import gathered
from tangodistill.modules.trained import TrainedModule
from tangodistill.user_error import UserError

END = "<|endoftext|>"
IGNORED = -100  # a position that no loss counts


class LanguageModelModule(TrainedModule):
    """A causal language model of the train role's texts, for ``augment`` to sample from (Tang, Lu & Lin 2019).

    A text is its tokens and an end; of a pair the sides are joined by a tab; under ``label`` conditioning the label's
    name and a tab stand before. The weights with the fewest bits per character on the selection role are kept.

    Args:
        pretrained: hub name or folder of a causal language model; null: a small GPT-2 from random weights, with a
            byte-level vocabulary of the task's text.
        conditioning: ``none``, or ``label``: the sampler then draws a label first, by its share of the train role.
        split_encoding: cut each training text at a random character and encode the parts alone, so that the model
            also sees tokens that don't end where words end. Only where the tokenizer adds no special tokens.
        layers: of the small model.
        width: of the small model's states, a multiple of 64.
        vocabulary: of the small model, tokens.
        max_length: tokens that are learnt of a text.
        lr: peak learning rate.
        weight_decay: of AdamW.
        warmup_fraction: share of the steps with a rising learning rate.
    """

    def __init__(
        self,
        pretrained: str | None = None,
        conditioning: Literal["none", "label"] = "none",
        split_encoding: bool = False,
        layers: int = 4,
        width: int = 256,
        vocabulary: int = 8192,
        max_length: int = 128,
        lr: float = 5e-5,
        weight_decay: float = 1e-3,
        warmup_fraction: float = 0.1,
    ):
        super().__init__(lr, weight_decay, warmup_fraction)
        self.pretrained, self.conditioning, self.split_encoding = pretrained, conditioning, split_encoding
        self.layers, self.width, self.vocabulary, self.max_length = layers, width, vocabulary, max_length

    @property
    def score_name(self) -> str:
        return "bits_per_character"

    def setup(self, stage: str) -> None:
        train = self.trainer.datamodule.roles.train
        if self.pretrained is None:
            self.tokenizer = byte_level_tokenizer(_texts(train), self.vocabulary)
            self.model = small_gpt2(len(self.tokenizer), self.layers, self.width, self.tokenizer.eos_token_id)
        else:
            self.model, self.tokenizer = load_language_model(
                self.pretrained, AutoModelForCausalLM, "causal language model"
            )
        self.max_length = min(self.max_length, position_limit(self.model) or self.max_length)
        setattr(self.model.config, CONDITIONING, self.conditioning)
        setattr(self.model.config, PREFIXES, self._prefixes(train))

    def _prefixes(self, train: Dataset) -> dict[str, int] | None:
        """What the sampler begins with, and how often: labels; None: the first tokens of the texts."""
        if self.conditioning == "none":
            return None
        if not self.task.label_names:
            raise UserError(
                f"model.init_args.conditioning is label, but the task {self.task.name} has no labels. Leave it at none."
            )
        counts = np.bincount(train["label"][:], minlength=len(self.task.label_names))
        return {name + SEPARATOR: int(count) for name, count in zip(self.task.label_names, counts, strict=True)}

    def encode(self, rows: Dataset, seed: int | None = None) -> TokenizedTexts:
        """The rows of a role as this model reads them; split at random characters where a seed is given."""
        names = self.task.label_names if self.conditioning == "label" else None
        labels = [names[i] for i in rows["label"][:]] if names else None
        texts = [line + self.tokenizer.eos_token for line in to_lines(*columns(rows), labels)]
        encoder = TextEncoder.of(self.tokenizer, self.max_length, meant=[self.tokenizer.eos_token])
        adds_none = self.tokenizer.num_special_tokens_to_add() == 0
        return (
            split_encoded(encoder, texts, seed)
            if self.split_encoding and seed is not None and adds_none
            else encoder.encode(texts)
        )

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Nats ``(batch, length - 1)`` of each next token, 0 where there is none."""
        with self.autocast():
            logits = self.model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1].float()
        targets = batch["input_ids"][:, 1:].masked_fill(batch["attention_mask"][:, 1:] == 0, IGNORED)
        return cross_entropy(logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        loss = self(batch).sum() / batch["attention_mask"][:, 1:].sum().clamp(min=1)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self._nats, self._characters = 0.0, 0

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self._nats += float(self(batch).sum())
        self._characters += int(batch["characters"].sum())

    def on_validation_epoch_end(self) -> None:
        nats, characters = (sum(parts) for parts in zip(*gathered((self._nats, self._characters)), strict=True))
        bits = nats / math.log(2) / max(characters, 1)
        self.log_dict({"val/bits_per_character": bits, "val/score": -bits}, prog_bar=True, sync_dist=True)

    def kept_scores(self) -> dict[str, Any]:
        return {name: -value for name, value in super().kept_scores().items()}


class LanguageModelData(RoleData):
    """The train role's texts to learn from, the selection role's to select on, whatever their labels.

    Args:
        dataset: where the text lies and what its columns mean.
        batch_size: texts in a training batch, of all processes together.
        seed: of the training order.
    """

    def __init__(self, dataset: DatasetConfig, batch_size: int = 48, seed: int = 0):
        super().__init__(dataset, batch_size, seed)

    def train_dataloader(self) -> TrainBatches:
        return self._train_batches(self.trainer.lightning_module.encode(self.roles.train, self.seed), lambda i: {})

    def val_dataloader(self) -> EvaluationBatches:
        return self._evaluation(self.roles.selection)

    def test_dataloader(self) -> EvaluationBatches:
        return self._evaluation(self.roles.report)

    def _evaluation(self, rows: Dataset) -> EvaluationBatches:
        characters = torch.tensor([sum(map(len, sides)) for sides in zip(*filter(None, columns(rows)), strict=True)])
        return EvaluationBatches(
            self.trainer.lightning_module.encode(rows),
            lambda i: {"characters": characters[i]},
            2 * self.batch_size,
            **self._batching,
        )


def byte_level_tokenizer(texts: list[str], size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer learnt from the texts, with ``<|endoftext|>`` as its only special token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    names = {"bos_token": END, "eos_token": END, "pad_token": END}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"], **names
    )


def small_gpt2(vocabulary: int, layers: int, width: int, end: int) -> GPT2LMHeadModel:
    """A GPT-2 from random weights with one attention head for every 64 columns.

    Raises:
        UserError: the width is no multiple of 64.
    """
    if width < 64 or width % 64:
        raise UserError(f"model.width is {width}: it must be a multiple of 64.")
    shape = {"n_layer": layers, "n_embd": width, "n_head": width // 64, "n_positions": 512}
    return GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, bos_token_id=end, eos_token_id=end, **shape))


def split_encoded(encoder: TextEncoder, texts: list[str], seed: int) -> TokenizedTexts:
    """Texts whose two parts, cut at a random character, are encoded alone and joined."""
    cuts = np.random.default_rng(seed).integers(0, np.array([len(text) for text in texts]) + 1)
    halves = [part for text, cut in zip(texts, cuts, strict=True) for part in (text[:cut], text[cut:])]
    parts = encoder.encode(halves)
    filled = np.array([bool(part) for part in halves])  # the encoder gives an empty text a token too
    offsets = np.concatenate([[0], np.cumsum(parts.lengths * filled)[1::2]])
    return TokenizedTexts(parts.ids[np.repeat(filled, parts.lengths)], offsets, parts.pad_id)


def _texts(rows: Dataset) -> list[str]:
    return [text for sides in filter(None, columns(rows)) for text in sides]


def load_language_model(name_or_folder: str, kind: type, said: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A language model in float32 and its tokenizer, which gets a padding token where it has none.

    Raises:
        UserError: there is none, or none that can be read, with what to do instead.
    """
    folder = str(resolve(name_or_folder))
    spare_the_wait(folder)
    try:
        with quietly(folder):
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            model = kind.from_pretrained(
                folder, config=config, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
            )
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(
            f"no {said} could be loaded from {name_or_folder!r}: {reason}. Give a folder with config.json and "
            "model.safetensors, or a hub name while the hub can be reached."
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"  # every token is asked for, so positions must begin with the text
    return model.train(), tokenizer
