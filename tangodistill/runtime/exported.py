"""What `export` leaves in a tier's folder: graphs, tokenizer, and the facts to run them without the model's code."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from tokenizers import Tokenizer

from tangodistill.data.tokenize import TextEncoder
from tangodistill.runtime.cascade_folder import GRAPHS
from tangodistill.runtime.engines import TierFacts
from tangodistill.user_error import UserError

FACTS = "tier.json"
TOKENIZER = "tokenizer.json"
GRAPH_OF = {"fp32": "fp32.onnx", "bf16": "fp32.onnx", "int8": "int8.onnx", "int8_static": "int8_static.onnx"}
"""Of each precision; OpenVINO runs the fp32 graph in bf16."""


def write_facts(folder: Path, facts: TierFacts) -> None:
    partial = folder / f".{FACTS}"
    partial.write_text(json.dumps(asdict(facts), indent=2) + "\n", encoding="utf-8")
    os.replace(partial, folder / FACTS)


def read_exported(
    folder: str | Path, precision: str, max_length: int | None = None
) -> tuple[TierFacts, TextEncoder, Path]:
    """Facts, encoder and graph of a tier folder; texts are cut to `max_length` tokens, or to what the tier allows.

    Raises:
        UserError: not exported, not in this precision, or a file is damaged; names it.
    """
    exported = Path(folder) / GRAPHS
    graph = exported / GRAPH_OF[precision]
    if not graph.is_file():
        found = ", ".join(sorted(path.stem for path in exported.glob("*.onnx"))) or "none"
        raise UserError(f"{graph} is missing (exported here: {found}). Write it with `python -m tangodistill export`.")
    facts = _read(exported / FACTS, lambda path: _facts(json.loads(path.read_text(encoding="utf-8"))))
    tokenizer = _read(exported / TOKENIZER, lambda path: Tokenizer.from_file(str(path)))
    length = min(max_length or facts.max_length, facts.max_length)
    return facts, TextEncoder(tokenizer, length, facts.pad_id, facts.with_type_ids, facts.truncation_side), graph


def _facts(content: dict) -> TierFacts:
    return TierFacts(**{**content, "label_names": tuple(content["label_names"])})


def _read(path: Path, read):
    try:
        return read(path)
    except Exception as error:  # the Rust parser raises plain Exception
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} cannot be read ({reason}). Run `python -m tangodistill export` again.") from error
