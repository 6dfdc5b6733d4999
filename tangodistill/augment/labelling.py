"""The teacher as a labeller: its logits are computed once and stored beside the transfer set."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from datasets.features import Features, List, Value

import tangodistill.models  # noqa: F401  (registers the package's own model types)
from tangodistill.data.contents import model_hash
from tangodistill.data.labels import given_label_names
from tangodistill.data.length_batches import length_batches
from tangodistill.data.packages import resolve
from tangodistill.data.tokenize import TokenizedTexts, load_tokenizer
from tangodistill.data.transfer import MASK_TOKEN, load_transfer_set, write_json, write_transfer_set
from tangodistill.models.device import best_device, has_bfloat16
from tangodistill.models.inputs import tensors
from tangodistill.models.load import load_classifier
from tangodistill.models.pairing import pair_up
from tangodistill.models.positions import position_limit
from tangodistill.models.trial import bears_bfloat16, try_out
from tangodistill.progress import Progress
from tangodistill.user_error import UserError

SHARD_ROWS = 16_384  # rows between two points that a killed run can go on from
CONFIDENCE_BINS = 10
NO_LIMIT = 1_000_000  # tokens; a tokenizer without a limit says 1e30


class Labeller:
    """A frozen classifier in eval mode, under bfloat16 autocast where the hardware has it."""

    def __init__(
        self,
        teacher: str,
        batch_size: int,
        max_length: int | None,
        label_names: list[str] | None = None,
        trust_remote_code: bool = False,
    ):
        folder = str(resolve(teacher))
        model, new_head = load_classifier(folder, trust_remote_code=trust_remote_code)
        if new_head:
            raise UserError(
                f"teacher {teacher} is an encoder without a trained classification head, so its logits mean nothing. "
                "Fine-tune it first: 'python -m tangodistill fit'."
            )
        self.tokenizer = load_tokenizer(folder, trust_remote_code)
        pair_up(model, self.tokenizer)
        length = max_length or min(self.tokenizer.model_max_length, NO_LIMIT)
        self.batch_size, self.max_length = batch_size, min(length, position_limit(model) or length)
        try_out(model, self.tokenizer, self.max_length)
        self.device = best_device()
        self.bfloat16 = has_bfloat16(self.device) and bears_bfloat16(model, self.tokenizer)
        self.model = model.eval().to(self.device)
        own_names = [model.config.id2label[i] for i in range(model.config.num_labels)]
        self.label_names = list(given_label_names(label_names or (), "label_names")) or own_names

    @torch.inference_mode()
    def logits(self, texts: list[str], pairs: list[str] | None = None) -> np.ndarray:
        """Logits ``(n, classes)`` float16 of ``texts``, in their order."""
        settings = {"max_length": self.max_length, "meant": [MASK_TOKEN]}
        tokens = TokenizedTexts.from_texts(self.tokenizer, texts, pairs, **settings)
        result = np.empty((len(texts), self.model.config.num_labels), np.float16)
        for rows in length_batches(tokens.lengths, self.batch_size):
            inputs = {name: tensor.to(self.device) for name, tensor in tensors(tokens.batch(rows)).items()}
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                result[rows] = self.model(**inputs).logits.float().cpu().numpy()
        return result


def label(
    transfer_set: str,
    teacher: str,
    output: str,
    batch_size: int = 64,
    max_length: int | None = None,
    label_names: list[str] | None = None,
    min_confidence: float = 0.0,
    trust_remote_code: bool = False,
) -> Path:
    """Store a teacher's logits beside the texts of a transfer set.

    Works in shards, so that a run that was cut off goes on where it was and ends with the same bytes.

    Args:
        transfer_set: folder written by ``augment``.
        teacher: folder or hub name of the classifier that gives the logits.
        output: folder to write.
        batch_size: texts that go through the teacher at a time, of similar length.
        max_length: tokens that the teacher reads of a text, as far as it has positions for them; by default as many as
            its tokenizer says.
        label_names: names of the teacher's outputs, in its order, where its config has none.
        min_confidence: leave out texts whose likeliest class has a lower probability than this by the teacher.
        trust_remote_code: run the Python files that the teacher's folder brings along. Read them first.

    Raises:
        UserError: the set or the teacher can't be read, or no text is left.
    """
    rows, manifest = load_transfer_set(transfer_set, labelled=False)
    made_of = [manifest.get("key"), len(rows), model_hash(resolve(teacher)), max_length, label_names]
    shards = _work_folder(Path(output), made_of)
    starts = range(0, len(rows), SHARD_ROWS)
    waiting = [start for start in starts if not _shard(shards, start).is_file()]
    if waiting:
        labeller = Labeller(teacher, batch_size, max_length, label_names, trust_remote_code)
        write_json(shards / "label_names.json", labeller.label_names)
        left = sum(min(SHARD_ROWS, len(rows) - start) for start in waiting)
        with Progress("label", len(rows), done=len(rows) - left) as progress:
            for start in waiting:
                part = rows[start : start + SHARD_ROWS]
                logits = labeller.logits(part["text"], part.get("text_pair"))
                if len(wrong := np.flatnonzero(~np.isfinite(logits).all(axis=1))):
                    raise UserError(
                        f"{transfer_set}, row {start + wrong[0]}: the teacher {teacher} gave no finite logits (nan, or "
                        "larger than float16 holds), which no student can learn from."
                    )
                _save_array(_shard(shards, start), logits)
                progress.advance(len(part["text"]))
    names = json.loads((shards / "label_names.json").read_text(encoding="utf-8"))
    features = Features({**rows.features, "logits": List(Value("float16"), length=len(names))})
    kept = [highest_probability(np.load(_shard(shards, start))) >= min_confidence for start in starts]
    count = int(sum(map(np.sum, kept)))
    if count == 0:
        raise UserError(f"min_confidence is {min_confidence}: the teacher is less sure of every text. Give less.")
    found = confidence(
        (np.load(_shard(shards, start))[some] for start, some in zip(starts, kept, strict=True)), len(names)
    )
    account = {"label_names": names, "unconfident": len(rows) - count, "rows": count, "confidence": found}
    write_transfer_set(Path(output), _with_logits(rows, starts, shards, kept), features, {**manifest, **account})
    shutil.rmtree(shards.parent)
    return Path(output)


def confidence(logits: Iterable[np.ndarray], classes: int) -> dict[str, Any]:
    """Histogram of the highest class probability in ten equal bins from 1 / classes to 1, and its mean.

    Args:
        logits: parts of (n, classes), read one after the other.

    >>> confidence([np.zeros((3, 2), np.float16), np.array([[0, 9]], np.float16)], 2)["counts"]
    [3, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    """
    edges = np.linspace(1 / classes, 1, CONFIDENCE_BINS + 1)
    counts, total = np.zeros(CONFIDENCE_BINS, np.int64), 0.0
    for part in logits:
        highest = highest_probability(part)
        counts += np.histogram(highest.clip(edges[0], 1), edges)[0]  # rounding must lose no row
        total += float(highest.sum())
    mean = total / int(counts.sum()) if counts.any() else None
    return {"edges": edges.tolist(), "counts": counts.tolist(), "mean": mean}


def highest_probability(logits: np.ndarray) -> np.ndarray:
    """(n,) probability of the likeliest class, from logits (n, classes).

    >>> highest_probability(np.array([[0, 0], [0, 99]], np.float16)).tolist()
    [0.5, 1.0]
    """
    below_highest = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return 1 / np.exp(below_highest).sum(axis=1)


def _work_folder(output: Path, made_of: list) -> Path:
    """The folder of the shards made of this; those that a run with another teacher or set left are thrown away."""
    work = output / ".shards" / hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
    for other in work.parent.glob("*"):
        if other != work:
            shutil.rmtree(other)
    work.mkdir(parents=True, exist_ok=True)
    return work


def _shard(folder: Path, start: int) -> Path:
    return folder / f"{start:09d}.npy"


def _save_array(path: Path, array: np.ndarray) -> None:
    unfinished = path.with_suffix(".partial.npy")
    np.save(unfinished, array)
    os.replace(unfinished, path)


def _with_logits(rows: Dataset, starts: range, shards: Path, kept: list[np.ndarray]) -> Iterator[pa.Table]:
    texts = rows.data.table
    for start, some in zip(starts, kept, strict=True):
        logits = np.load(_shard(shards, start))
        column = pa.FixedSizeListArray.from_arrays(pa.array(logits.ravel()), logits.shape[1])
        yield texts.slice(start, len(logits)).append_column("logits", column).filter(pa.array(some))
