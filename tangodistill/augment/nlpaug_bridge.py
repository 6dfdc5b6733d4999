"""Any of nlpaug's text augmenters by class name and arguments, repaired where a current transformers breaks it."""

import difflib
import inspect
import json
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from tangodistill.augment.generator import SideRows, VaryingGenerator
from tangodistill.user_error import UserError


@dataclass(frozen=True)
class NlpaugConfig(VaryingGenerator):
    """One augmenter of nlpaug 1.1: of its ``char``, ``word`` or ``sentence`` package."""

    name = "nlpaug"
    rows_per_shard = 32

    augmenter: str
    """Class name, such as RandomWordAug, KeyboardAug, SynonymAug, WordEmbsAug or ContextualWordEmbsAug."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Arguments of the class, such as {"action": "swap", "aug_p": 0.2}."""
    draws_per_text: int | None = None
    """Variants made per source row; 20 for single texts and 10 for pairs if not given."""
    share: float | None = None
    """Of the generated texts in the set; by default what each generator yields."""

    def check(self) -> None:
        check_augmenter(self)

    def vary(self, rows: SideRows, rng: np.random.Generator) -> tuple[pa.Array, None]:
        return pa.array(vary(rows.texts(), self, int(rng.integers(2**32))), pa.string()), None


def check_augmenter(config: NlpaugConfig) -> type:
    """The class that the config names.

    Raises:
        UserError: for an unknown class, an unknown argument, a missing one, or less than one draw.
    """
    if config.draws_per_text is not None and config.draws_per_text < 1:
        raise UserError(f"nlpaug.draws_per_text is {config.draws_per_text}: it must be at least 1.")
    augmenters = _augmenters()
    if config.augmenter not in augmenters:
        near = difflib.get_close_matches(config.augmenter, augmenters, n=1, cutoff=0.5)
        raise UserError(
            f"nlpaug.augmenter is {config.augmenter!r}, which nlpaug does not have"
            + (f": did you mean {near[0]}? " if near else ". ")
            + f"It has {', '.join(augmenters)}."
        )
    augmenter = augmenters[config.augmenter]
    try:
        inspect.signature(augmenter).bind(**config.arguments)
    except TypeError as error:
        raise UserError(f"nlpaug.arguments of {config.augmenter}: {error}. {_allowed(augmenter)}") from None
    return augmenter


def vary(texts: list[str], config: NlpaugConfig, seed: int) -> list[str]:
    """(n,) one variant of each text; it depends on the texts and ``seed`` alone. Blank texts stay.

    Raises:
        UserError: where the augmenter cannot be made, or lacks a package or data.
    """
    varied = list(texts)
    filled = [i for i, text in enumerate(texts) if text.strip()]
    # nlpaug compares the original words of a model's first batch with every later one, so it gets one batch at a time.
    batch_size = int(config.arguments.get("batch_size", 32))
    with _seeded(seed), _told_to_the_user(config):
        augmenter = _build(config.augmenter, json.dumps(config.arguments))
        for start in range(0, len(filled), batch_size):
            batch = filled[start : start + batch_size]
            for i, text in zip(batch, augmenter.augment([texts[i] for i in batch]), strict=True):
                varied[i] = text
    return varied


@lru_cache(maxsize=1)
def _build(name: str, arguments_json: str) -> Any:
    arguments = json.loads(arguments_json)
    augmenter = check_augmenter(NlpaugConfig(name, arguments))
    _repair()
    # nlpaug caches models by the last part of their folder's name, and would mistake one folder for another
    if "force_reload" in inspect.signature(augmenter).parameters:
        arguments.setdefault("force_reload", True)
    try:
        return augmenter(**arguments)
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"nlpaug's {name} cannot be made with {arguments}: {error} {_allowed(augmenter)}") from error


def _augmenters() -> dict[str, type]:
    """nlpaug's text augmenters by name; LambadaAug writes text for given labels, of which a transfer set has none."""
    from nlpaug.augmenter import char, sentence, word
    from nlpaug.base_augmenter import Augmenter

    members = {**vars(char), **vars(word), **vars(sentence)}
    return {
        name: member
        for name, member in sorted(members.items())
        if inspect.isclass(member) and issubclass(member, Augmenter) and name.endswith("Aug") and name != "LambadaAug"
    }


def _allowed(augmenter: type) -> str:
    return f"It takes {', '.join(inspect.signature(augmenter).parameters)}."


@contextmanager
def _told_to_the_user(config: NlpaugConfig) -> Iterator[None]:
    """nlpaug declares neither gensim nor NLTK, and loads NLTK's data only once it is needed."""
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"nlpaug's {config.augmenter} needs a package that is missing ({error}): "
            'pip install "tangodistill[augment]"'
        ) from error
    except LookupError as error:
        if type(error) is not LookupError:  # NLTK raises the base class itself where data is missing
            raise
        raise UserError(
            f"nlpaug's {config.augmenter} needs data of NLTK that is missing here: pip install "
            '"tangodistill[augment]", then python -m nltk.downloader wordnet omw-1.4 averaged_perceptron_tagger_eng'
        ) from error


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators that nlpaug draws from, then put back the caller's states.

    Torch runs on one thread meanwhile: the workers share the cores already, and sums stay in one order.
    """
    from nlpaug.augmenter import word  # noqa: F401  imports torch where it is installed

    torch = sys.modules.get("torch")
    states = random.getstate(), np.random.get_state()
    torch_state = torch and (torch.get_rng_state(), torch.get_num_threads())
    random.seed(seed)
    np.random.seed(seed)
    if torch:
        torch.manual_seed(seed)
        torch.set_num_threads(1)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        if torch:
            torch.set_rng_state(torch_state[0])
            torch.set_num_threads(torch_state[1])


@lru_cache(maxsize=1)
def _repair() -> None:
    """Mend two faults of nlpaug 1.1.11.

    Its masked language models call tokenizer methods that transformers 5 no longer has, and its GPT-2 picks every new
    word after the first token of the text instead of after the last.
    """
    from nlpaug.model import lang_models as models

    def token2id(self: Any, token: str) -> int:
        return self.get_tokenizer().convert_tokens_to_ids(token)

    def id2token(self: Any, token_id: int) -> str:
        return self.get_tokenizer().convert_ids_to_tokens(int(token_id))

    for model in (models.Bert, models.DistilBert, models.Roberta, models.XlNet, models.FmTransformers):
        model.token2id, model.id2token = token2id, id2token
    models.Gpt2.predict = _gpt2_predict


def _gpt2_predict(
    self: Any,
    texts: list[str],
    target_words: list[str | None] | None = None,
    n: int = 1,
    external_memory: None = None,
    include_punctuation: bool = False,
) -> list[list[str]]:
    """Candidates for the token that follows each text, read at the text's own last token."""
    import torch

    encoded = [self.tokenizer.encode(text) for text in texts]
    lengths = torch.tensor([len(ids) for ids in encoded])
    mask = torch.arange(int(lengths.max()))[None, :] < lengths[:, None]
    ids = torch.full(mask.shape, self.pad_id)
    ids[mask] = torch.tensor([token for row in encoded for token in row])
    with torch.inference_mode():
        logits = self.model(input_ids=ids.to(self.device), attention_mask=mask.long().to(self.device)).logits
    last = logits[torch.arange(len(texts)), lengths - 1]
    settings = {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}
    results = []
    for row, target in zip(last, target_words or [None] * len(texts), strict=True):
        row, candidates = self.filtering(self.control_randomness(row, settings), settings)
        picked = self.pick(row, candidates, target_word=target, n=10, include_punctuation=include_punctuation)
        results.append([token for token, _ in picked] or [""])
    return results
