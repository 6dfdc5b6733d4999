"""Training DeeBERT's off-ramps on a fine-tuned classifier."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tangodistill.data.packages import resolve
from tangodistill.data.tokenize import load_tokenizer
from tangodistill.models.deebert import DeeBertForSequenceClassification
from tangodistill.models.load import load_classifier
from tangodistill.modules.classifier import ClassifierModule
from tangodistill.user_error import UserError

BACKBONE = "model.backbone."


class DeeBertModule(ClassifierModule):
    """Off-ramps after each layer but the last of a frozen BERT or RoBERTa classifier (DeeBERT's second stage).

    L = Σ_{j=1}^{n−1} CE(off-ramp j, label). Xin et al. 2020, "DeeBERT: Dynamic Early Exiting for Accelerating BERT
    Inference", §3.2, whose code leaves the backbone's dropout on. Checkpoints hold the off-ramps alone.

    The finished folder answers with the backbone's own logits until its config gets an ``entropy_threshold``.
    ``val/score`` is the mean of the off-ramps' metric, since the last exit's never changes.

    Args:
        backbone: folder of the fine-tuned classifier (the stage ``teacher``); the other verbs read the finished folder.
        lr: peak learning rate. The default is the paper's. An encoder like MiniLM-L6, whose first token hardly varies
            in the lower layers, needs about 5e-3, else the first off-ramps stay at chance.
        weight_decay: of AdamW.
        warmup_fraction: share of the steps with a rising learning rate.
    """

    def __init__(self, backbone: str, lr: float = 2e-5, weight_decay: float = 0.0, warmup_fraction: float = 0.0):
        super().__init__(lr, weight_decay, warmup_fraction)
        self.backbone = backbone

    def setup(self, stage: str) -> None:
        folder = str(resolve(self.backbone) if stage == "fit" else self.root)
        classifier, new_head = load_classifier(folder)
        if new_head:
            raise UserError(
                f"{self.backbone} has no trained classification head for off-ramps to stand beside. "
                "Fine-tune it first: stage teacher."
            )
        if stage == "fit":
            classifier = DeeBertForSequenceClassification.from_classifier(classifier)
        self.model = classifier.train()
        self.model.backbone.requires_grad_(False).eval()
        self.tokenizer = load_tokenizer(folder)
        self.max_length = self.reading_length(None, self.model)
        self.follow_task([self.model.config.id2label[i] for i in range(self.model.config.num_labels)])

    def follow_task(self, own_names: list[str]) -> None:
        """As for other classifiers, with metrics for each off-ramp."""
        super().follow_task(own_names)
        self.ramp_metrics = nn.ModuleList(self.metrics.clone() for _ in self.model.off_ramps)

    def check_trained(self) -> dict[str, Any]:
        """Nothing: the backbone is a teacher that was checked, and gates by its off-ramps' entropies alone."""
        return {}

    def exits(self, batch: dict[str, Any]) -> Tensor:
        """Logits ``(exits, batch, classes)`` float32, in the task's label order."""
        inputs = {k: v for k, v in batch.items() if k in ("input_ids", "attention_mask", "token_type_ids")}
        with self.autocast():
            return self.model.all_exits(**inputs).float()[..., self.label_order]

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        losses = torch.stack([cross_entropy(logits, batch["labels"]) for logits in self.exits(batch)[:-1]])
        self.log("train/loss", losses.sum(), prog_bar=True)
        return losses.sum()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        *off_ramps, last = self.exits(batch).argmax(-1)
        for metrics, predictions in zip(self.ramp_metrics, off_ramps, strict=True):
            metrics.update(predictions, batch["labels"])
        self.metrics.update(last, batch["labels"])

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        scores = self._ramp_scores()
        self.log_dict({f"val/{name}": value for name, value in scores.items()}, sync_dist=True)
        self.log("val/score", torch.stack(list(scores.values())).mean(), prog_bar=True, sync_dist=True)
        self.metrics.reset()

    def on_test_epoch_end(self) -> None:
        self.log_dict({f"test/{name}": value for name, value in self._ramp_scores().items()}, sync_dist=True)
        super().on_test_epoch_end()

    def _ramp_scores(self) -> dict[str, Tensor]:
        """The task's metric of each off-ramp, as ``exit1_accuracy`` ...; the counts start anew."""
        scores = {}
        for number, metrics in enumerate(self.ramp_metrics, 1):
            scores[f"exit{number}_{self.task.metric}"] = metrics.compute()[f"val/{self.task.metric}"].float()
            metrics.reset()
        return scores

    def save(self, scores: dict[str, Any]) -> None:
        if self.task.metric in scores:
            scores[f"off_ramps_mean_{self.task.metric}"] = scores.pop(self.task.metric)
        super().save(scores)

    def state_dict(self, *args, **kwargs) -> dict[str, Any]:
        return {name: v for name, v in super().state_dict(*args, **kwargs).items() if not name.startswith(BACKBONE)}

    def load_state_dict(self, state_dict: Mapping[str, Any], *args, **kwargs) -> Any:
        return super().load_state_dict({**super().state_dict(), **state_dict}, *args, **kwargs)
