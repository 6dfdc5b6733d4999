"""What training a span teacher and a span student have in common."""

from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from tangodistill.data.spans import SpanAnswers, answers_of, best_spans
from tangodistill.metrics import squad
from tangodistill.models.outputs import tier_outputs
from tangodistill.modules.processes import gathered
from tangodistill.modules.trained import TrainedModule

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class SpanModule(TrainedModule):
    """A Hugging Face model that marks answers in contexts, under training: exact match, F1, and its answers.

    An answer is the most probable span of all windows of its context. Metrics are on the selection role in ``fit`` and
    ``validate``, on the report role in ``test``.
    """

    kind = "spans"

    @property
    def score_name(self) -> str:
        return self.task.metric

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Logits ``(2, batch, length)`` float32 of each token to be an answer's first, and its last."""
        return span_logits(self.model, batch)

    def on_validation_epoch_start(self) -> None:
        self._spans: list[tuple[np.ndarray, ...]] = []

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        with self.autocast():
            start, end = self(batch).cpu().numpy()
        mask = batch["attention_mask"].cpu().numpy()
        self._spans.append((batch["window"], *best_spans(start, end, mask, np.asarray(batch["in_context"]))))

    def on_validation_epoch_end(self) -> None:
        self._log_scores("val", self.trainer.datamodule.roles.selection)

    on_test_epoch_start = on_predict_start = on_validation_epoch_start
    test_step = predict_step = validation_step

    def on_test_epoch_end(self) -> None:
        self._log_scores("test", self.trainer.datamodule.roles.report)

    def on_predict_end(self) -> None:
        """Write ``predictions.parquet``: ``example_id``, ``answer`` and ``confidence`` of the report role."""
        import pandas as pd

        rows = self.trainer.datamodule.roles.report
        answers = self._answers(rows)
        if self.trainer.is_global_zero:
            table = {"example_id": rows["example_id"][:], "answer": answers.texts(rows["text_pair"][:])}
            self.root.mkdir(parents=True, exist_ok=True)
            pd.DataFrame({**table, "confidence": answers.confidence}).to_parquet(
                self.root / "predictions.parquet", index=False
            )

    def _log_scores(self, prefix: str, rows: Dataset) -> None:
        ids, answers = rows["example_id"][:], self._answers(rows).texts(rows["text_pair"][:])
        scores = squad(dict(zip(ids, answers, strict=True)), dict(zip(ids, rows["answers"][:], strict=True)))
        self.scores = {name: torch.tensor(value, dtype=torch.float32) for name, value in scores.items()}
        named = {f"{prefix}/{name}": value for name, value in self.scores.items()}
        self.log_dict({**named, f"{prefix}/score": self.scores[self.task.metric]}, prog_bar=True, sync_dist=True)

    def _answers(self, rows: Dataset) -> SpanAnswers:
        """One answer to each of a role's questions, in every process, from all processes' windows."""
        windows = self.trainer.datamodule.windows(rows)
        # windows that nobody has seen, as in Lightning's first look at a few batches, have no answer
        first, last = np.zeros((2, len(windows)), np.int64)
        probability = np.zeros(len(windows))
        for window, *span in (batch for seen in gathered(self._spans) for batch in seen):
            first[window], last[window], probability[window] = span
        return answers_of(windows, first, last, probability)


def span_logits(model: torch.nn.Module, batch: dict[str, Any]) -> Tensor:
    """(2, batch, length) float32: logits of each token to be an answer's first, and its last."""
    return tier_outputs(model(**{name: batch[name] for name in INPUTS if name in batch})).float()
