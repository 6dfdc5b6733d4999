"""Fine-tuning a teacher that answers questions by spans of their contexts."""

from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.nn.functional import cross_entropy

from tangodistill.data.packages import resolve
from tangodistill.data.tokenize import load_tokenizer
from tangodistill.models.load import load_span_model
from tangodistill.models.pairing import pair_up
from tangodistill.models.positions import position_limit
from tangodistill.models.trial import bears_bfloat16, try_out
from tangodistill.modules.averaged import AveragedWeights
from tangodistill.modules.span import SpanModule, span_logits
from tangodistill.user_error import UserError


class SpanTeacherModule(AveragedWeights, SpanModule):
    """Any Hugging Face extractive question-answering model, or an encoder that gets a new head.

    The loss is the mean of the cross-entropies of the answer's first and last token (Devlin et al. 2019, §4.2); in a
    window that does not hold the whole answer both are the first token of the window.

    Args:
        pretrained: model folder, hub name, or ``package:minilm-l6``.
        lr: peak learning rate.
        weight_decay: of AdamW.
        warmup_fraction: share of the steps with a rising learning rate.
        save_validated: after ``validate``, write the model folder (``run --teacher`` sets it for a trained teacher).
        trust_remote_code: run the Python files that the folder brings along, as of `TeacherModule`.
    """

    def __init__(
        self,
        pretrained: str,
        lr: float = 3e-5,
        weight_decay: float = 0.01,
        warmup_fraction: float = 0.1,
        save_validated: bool = False,
        trust_remote_code: bool = False,
    ):
        super().__init__(lr, weight_decay, warmup_fraction)
        self.pretrained, self.save_validated = pretrained, save_validated
        self.trust_remote_code = trust_remote_code

    def setup(self, stage: str) -> None:
        folder = str(resolve(self.pretrained))
        self.model, new_head = load_span_model(folder, self.trust_remote_code)
        self.tokenizer = load_tokenizer(folder, self.trust_remote_code)
        pair_up(self.model, self.tokenizer)
        self.max_length = min(self.task.max_length, position_limit(self.model) or self.task.max_length)
        try_out(self.model, self.tokenizer, self.max_length)
        self.bfloat16 = bears_bfloat16(self.model, self.tokenizer)
        self.model.train()  # from_pretrained leaves dropout off
        if new_head and stage != "fit":
            raise UserError(
                f"{self.pretrained} has no trained question-answering head, so there is nothing to evaluate. "
                "Train one with 'fit' first."
            )
        if new_head:
            rank_zero_info(f"{self.pretrained} is an encoder without a question-answering head: a new one is trained.")
        if stage == "fit":
            self.start_average()

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Logits ``(2, batch, length)`` float32; by the averaged weights but in training."""
        return span_logits(self.in_use, batch)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        with self.autocast():
            first, last = self(batch)
        loss = (cross_entropy(first, batch["first"]) + cross_entropy(last, batch["last"])) / 2
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_validation_end(self) -> None:
        if self.trainer.state.fn == "validate" and self.save_validated and self.trainer.is_global_zero:
            rows = len(self.trainer.datamodule.roles.selection)
            self.save({"split": "selection", "rows": rows, **{k: float(v) for k, v in self.scores.items()}})
