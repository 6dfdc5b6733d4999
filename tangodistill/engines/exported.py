"""What `export` leaves in a tier's folder: graphs, tokenizer, and the facts to run them without the model's code."""

import json
import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Self

from tokenizers import Tokenizer

from tangodistill.data.tokenize import TextEncoder
from tangodistill.data.windows import WindowEncoder
from tangodistill.engines.engine import Engine, TierFacts
from tangodistill.engines.engine_key import Lengths, lengths_name
from tangodistill.engines.forked import PerProcess
from tangodistill.engines.tier_record import GRAPHS
from tangodistill.user_error import UserError

FACTS = "tier.json"
TOKENIZER = "tokenizer.json"
LENGTHS = "lengths-"  # sub-folders for graphs of other length configurations
GRAPH_OF = {"fp32": "fp32.onnx", "bf16": "fp32.onnx", "int8": "int8.onnx", "int8_static": "int8_static.onnx"}
"""Of each precision; OpenVINO runs the fp32 graph in bf16."""


def write_facts(folder: Path, facts: TierFacts) -> None:
    partial = folder / f".{FACTS}"
    partial.write_text(json.dumps(asdict(facts), indent=2) + "\n", encoding="utf-8")
    os.replace(partial, folder / FACTS)


def graphs_folder(folder: str | Path, lengths: Lengths | None = None) -> Path:
    """Where a tier folder's graphs of a length configuration lie; without one, those of the tier's own."""
    graphs = Path(folder) / GRAPHS
    return graphs if lengths is None else graphs / f"{LENGTHS}{lengths_name(lengths)}"


def exported_files(folder: str | Path, precision: str, lengths: Lengths | None = None) -> tuple[Path, Path, Path]:
    """Graph, facts and tokenizer of a tier folder: all that its engine reads.

    Raises:
        UserError: not exported, or not in this precision or length configuration.
    """
    exported = graphs_folder(folder)
    graph = graphs_folder(folder, lengths) / GRAPH_OF[precision]
    if lengths is not None and not graph.parent.is_dir():
        found = sorted({path.parent.name.removeprefix(LENGTHS) for path in exported.glob(f"{LENGTHS}*/*.onnx")})
        raise UserError(
            f"{folder} was not exported with the length configuration {lengths_name(lengths)} "
            f"(but with: {', '.join(found) or 'none'}). Write it with `python -m tangodistill export --lengths`."
        )
    if not graph.is_file():
        found = ", ".join(sorted(path.stem for path in graph.parent.glob("*.onnx"))) or "none"
        raise UserError(f"{graph} is missing (exported here: {found}). Write it with `python -m tangodistill export`.")
    return graph, exported / FACTS, exported / TOKENIZER


def read_facts(folder: str | Path) -> TierFacts:
    """What `export` wrote of a tier; raises UserError where the file is missing or damaged."""
    return _read(graphs_folder(folder) / FACTS, lambda path: _facts(json.loads(path.read_text(encoding="utf-8"))))


def read_exported(
    folder: str | Path, precision: str, max_length: int | None = None, lengths: Lengths | None = None
) -> tuple[TierFacts, TextEncoder | WindowEncoder, Path]:
    """Facts, encoder and graph of a tier folder; texts are cut to `max_length` tokens, or to what the tier allows.

    Raises:
        UserError: not exported, not in this precision or length configuration, or a file is damaged; names it.
    """
    graph, _, tokenizer_file = exported_files(folder, precision, lengths)
    facts = read_facts(folder)
    tokenizer = _read(tokenizer_file, lambda path: Tokenizer.from_file(str(path)))
    length = min(max_length or facts.max_length, facts.max_length)
    if facts.kind == "spans":
        return facts, WindowEncoder(tokenizer, length, None, facts.pad_id, facts.with_type_ids), graph
    sides = facts.truncation_side, facts.padding_side
    return facts, TextEncoder(tokenizer, length, facts.pad_id, facts.with_type_ids, *sides), graph


class ExportedEngine(Engine):
    """One tier, run from an exported graph, without PyTorch or transformers."""

    @classmethod
    def load(
        cls,
        folder: str | Path,
        precision: str = "fp32",
        max_length: int | None = None,
        threads: int | None = None,
        length_configuration: Sequence[float] | None = None,
    ) -> Self:
        lengths = None if length_configuration is None else tuple(length_configuration)
        facts, encoder, graph = read_exported(folder, precision, max_length, lengths)
        engine = cls(facts, encoder, precision, threads, lengths)
        engine._opened = PerProcess(partial(_open_same, graph, graph.stat(), engine._opener(graph)))
        engine._opened.get()  # so that what is wrong with the graph is told now
        return engine

    @abstractmethod
    def _opener(self, graph: Path) -> Callable[[], Any]:
        """What makes the graph ready to run, in this engine's precision and threads."""


def _open_same(graph: Path, loaded: os.stat_result, opener: Callable[[], Any]) -> Any:
    """The graph that was loaded first: a forked child that opens its own must not find another one in its place."""
    try:
        now = graph.stat()
        opened = opener()
    except Exception as error:  # those of the engines share no base class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise UserError(f"{graph} cannot be read ({reason}). Run `python -m tangodistill export` again.") from error
    if (now.st_size, now.st_mtime_ns) != (loaded.st_size, loaded.st_mtime_ns):
        raise UserError(f"{graph} has been written anew since the cascade was loaded. Load the cascade again.")
    return opened


def _facts(content: dict) -> TierFacts:
    return TierFacts(**{**content, "label_names": tuple(content["label_names"])})


def _read(path: Path, read):
    try:
        return read(path)
    except Exception as error:  # the Rust parser raises plain Exception
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} cannot be read ({reason}). Run `python -m tangodistill export` again.") from error
