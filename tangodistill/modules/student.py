"""Distilling the BiLSTM student from stored teacher logits."""

from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from tangodistill.data.glove import VOCABULARY, embedding_matrix, student_tokenizer
from tangodistill.data.packages import resolve
from tangodistill.models.bilstm import BiLSTMConfig, BiLSTMForSequenceClassification
from tangodistill.modules.class_weights import ClassWeights
from tangodistill.modules.distilled import DistilledModule, Loss

UNKNOWN = 0.1  # share of unknown words from which on it is warned of


class StudentModule(DistilledModule):
    """A BiLSTM over GloVe vectors that learns the teacher's logits on the transfer set.

    The last weights are kept.

    Args:
        glove: GloVe text file of the texts' language, or ``package:glove-6b-50d``.
        embedding_size: width of the vectors in the file.
        vocabulary: words that the student knows, special tokens included (10,000 in Mamou et al. 2022).
        loss: ``logit_mse`` (Tang et al. 2019) or ``soft_cross_entropy``.
        temperature: of the soft cross-entropy.
        hard_weight: weight of the cross-entropy to the teacher's own answer, added to the loss.
        dropout: inside the student.
        lr: peak learning rate.
        weight_decay: of AdamW.
        warmup_fraction: share of the steps with a rising learning rate.
        max_length: words that the student reads of a text; by default the task's length, or what holds 99 % of the
            training texts whole.
        class_weights: what a row's loss counts, by the teacher's answer: ``balanced`` (all classes count alike
            together, however rare), or a weight by label name, such as ``{fraud: 10}``.
    """

    exact_length = True
    untaught = "train it longer, on more texts, or with word vectors of their language (model.glove)"

    def __init__(
        self,
        glove: str,
        embedding_size: int = 50,
        vocabulary: int = VOCABULARY,
        loss: Loss = "logit_mse",
        temperature: float = 1.0,
        hard_weight: float = 0.0,
        dropout: float = 0.2,
        lr: float = 3e-3,
        weight_decay: float = 0.0,
        warmup_fraction: float = 0.05,
        max_length: int | None = None,
        class_weights: ClassWeights | None = None,
    ):
        super().__init__(loss, temperature, class_weights, lr, weight_decay, warmup_fraction, hard_weight)
        self.glove, self.embedding_size, self.vocabulary = glove, embedding_size, vocabulary
        self.dropout, self.longest = dropout, max_length

    def setup(self, stage: str) -> None:
        if stage == "fit":
            self._build()
        else:
            self._load()
        self.max_length = self.reading_length(self.longest)
        self.follow_task([self.model.config.id2label[i] for i in range(self.model.config.num_labels)])

    def _build(self) -> None:
        """A new student whose vocabulary and vectors come from the transfer set's words."""
        transfer, glove, names = self.trainer.datamodule.transfer, str(resolve(self.glove)), self.task.label_names
        self.tokenizer = student_tokenizer(_texts(transfer), glove, self.vocabulary)
        config = BiLSTMConfig(
            vocab_size=len(self.tokenizer),
            embedding_size=self.embedding_size,
            dropout=self.dropout,
            pad_token_id=self.tokenizer.pad_token_id,
            id2label=dict(enumerate(names)),
            label2id={name: i for i, name in enumerate(names)},
        )
        self.model = BiLSTMForSequenceClassification(config)
        vectors = torch.from_numpy(embedding_matrix(self.tokenizer, glove, self.embedding_size))
        self.model.get_input_embeddings().weight.data.copy_(vectors)

    def _load(self) -> None:
        from tangodistill.data.tokenize import load_tokenizer
        from tangodistill.models.load import load_classifier

        self.model, _ = load_classifier(str(self.root))
        self.tokenizer = load_tokenizer(str(self.root))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        return self.distillation_loss(self(batch), batch["teacher_logits"])

    def check_trained(self) -> dict[str, Any]:
        """As for other classifiers, and how many of the words of held-out texts the student does not know."""
        texts = self.trainer.datamodule.held_out_tokens().ids
        share = float((texts == self.tokenizer.unk_token_id).mean())
        told = f"the student knows none of {share:.0%} of the words of the selection role's texts"
        warnings = [told] if share > UNKNOWN else []
        for warning in warnings:
            rank_zero_info(f"Warning: {warning}.")
        found = super().check_trained()
        return {**found, "unknown": share, "warnings": [*warnings, *found["warnings"]]}


def _texts(transfer: Any) -> Any:
    """Every text of the set, second sides included, read in slices that fit in memory."""
    for part in transfer.iter(10_000):
        yield from part["text"]
        yield from part.get("text_pair", ())
