"""What the workers read, and how the source rows are dealt out to them."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from tangodistill.augment.corpus import Corpus, build_corpus
from tangodistill.augment.generator import Generator, SamplingGenerator
from tangodistill.augment.shards import CORPUS, SOURCES, Shard, read_table, write_table
from tangodistill.augment.tagger import tag_sentences
from tangodistill.progress import track

SAMPLES_PER_SHARD = 4096
WORDS_PER_SHARD = 2_000_000  # of all variants together: bounds a worker's memory where texts are long
TEXTS_PER_TAGGING = 2_000


def prepare(folder: Path, sources: pa.Table, needs_tags: bool, parallel_map: Callable[..., Iterable]) -> np.ndarray:
    """Write what the workers read, unless it is there; tells each row's words, all sides together (ones without tags).

    Args:
        sources: (n,) rows of text, or of text and text_pair.

    Returns:
        (n,) int64
    """
    if not (folder / SOURCES).exists():
        write_table(folder / SOURCES, sources)
    if not needs_tags:
        return np.ones(len(sources), dtype=np.int64)
    if not (folder / CORPUS).exists():
        texts = [text for column in sources.columns for text in column.to_pylist()]
        corpus = build_corpus(texts, lambda sentences: _tag(sentences, parallel_map))
        write_table(folder / CORPUS, corpus.to_table())
    corpus = Corpus.from_table(read_table(folder / CORPUS))
    return corpus.words_per_row.reshape(sources.num_columns, -1).sum(axis=0)


def _tag(sentences: list[list[str]], parallel_map: Callable[..., Iterable]) -> list[list[str]]:
    parts = [sentences[i : i + TEXTS_PER_TAGGING] for i in range(0, len(sentences), TEXTS_PER_TAGGING)]
    tagged = track(parallel_map(tag_sentences, parts), "tag words", len(parts))
    return [tags for part in tagged for tags in part]


def plan_shards(folder: Path, generator: Generator, words_per_row: np.ndarray, draws: int, seed: int) -> list[Shard]:
    """Runs of source rows, cut after a number of rows or of words to make, whichever comes first; or of samples."""
    if isinstance(generator, SamplingGenerator):
        bounds = [*range(0, generator.num_samples, SAMPLES_PER_SHARD), generator.num_samples]
    else:
        rows = np.arange(len(words_per_row)) // generator.rows_per_shard
        words = np.cumsum(words_per_row) * draws // WORDS_PER_SHARD
        cuts = np.flatnonzero((np.diff(rows) > 0) | (np.diff(words) > 0)) + 1
        bounds = [0, *cuts.tolist(), len(words_per_row)]
    return [
        Shard(folder, generator, number, start, stop, draws, seed)
        for number, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:], strict=True))
    ]
