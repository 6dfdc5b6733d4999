"""A shallower model: some layers of an encoder, the rest of it as it was."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from tangodistill.user_error import UserError

PER_LAYER = ("layer_types", "attention_window")
"""Settings in a config that may be lists with an entry for each layer."""


def keep_layers(model: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
    """A model of the same class with the same weights that has these layers alone, counted from 1.

    Layers taken from a trained network are a good start for a shallower one (Sanh et al. 2019, "DistilBERT", §3). It is
    built anew from its own config, so it is what ``from_pretrained`` will make of its folder.

    Raises:
        UserError: the model has no list of layers, or not these, or they can't stand in one another's place.
    """
    kind = model.config.model_type
    path = layer_list(model)
    if path is None:
        raise UserError(
            f"{model.name_or_path}: which of its parts are a {kind} model's layers can't be told, so none of them can "
            "be left out. Train it whole (without model.layers), or take an architecture such as BERT, RoBERTa, "
            "DistilBERT or DeBERTa."
        )
    count = model.config.num_hidden_layers
    check_rising("model.layers", layers, count, "the model's")
    config = copy.deepcopy(model.config)
    for name in PER_LAYER:
        values = getattr(config, name, None)
        if isinstance(values, list) and len(values) == count:
            setattr(config, name, [values[layer - 1] for layer in layers])
    config.num_hidden_layers = len(layers)
    shallow = type(model)._from_config(config, dtype=torch.float32)
    try:
        shallow.load_state_dict(renumbered(model.state_dict(), f"{path}.", layers))
    except RuntimeError as error:
        raise UserError(
            f"{model.name_or_path}: the layers of a {kind} model are not alike, and {list(layers)} don't fit where its "
            f"first {len(layers)} stand. Keep layer 1 (model.layers), or train the model whole."
        ) from error
    return shallow


def layer_list(model: PreTrainedModel) -> str | None:
    """Where a model's one list with as many members as its config has layers lies, such as ``bert.encoder.layer``.

    None where there is no such list (ALBERT's layers share their weights) or more than one (BART has two stacks).
    """
    count, found = getattr(model.config, "num_hidden_layers", None), []
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{path}.") for path in found)
        if isinstance(module, nn.ModuleList) and len(module) == count and not inside:
            found.append(name)
    return found[0] if len(found) == 1 else None


def renumbered(weights: Mapping[str, Any], prefix: str, layers: Sequence[int]) -> dict[str, Any]:
    """Weights by name without those of other layers than these, counted from 1, which get the first places.

    Args:
        prefix: what the names of the layers' weights begin with, before their number.

    >>> renumbered({"layer.0.bias": 1, "layer.1.bias": 2, "head.bias": 3}, "layer.", [2])
    {'layer.0.bias': 2, 'head.bias': 3}
    """
    place, chosen = {str(layer - 1): i for i, layer in enumerate(layers)}, {}
    for name, weight in weights.items():
        if name.startswith(prefix):
            number, dot, rest = name.removeprefix(prefix).partition(".")
            if number not in place:
                continue
            name = f"{prefix}{place[number]}{dot}{rest}"
        chosen[name] = weight
    return chosen


def evenly_spaced(layers: int, of: int) -> list[int]:
    """So many layers out of more, the last one among them, counted from 1.

    >>> evenly_spaced(4, 12), evenly_spaced(4, 6)
    ([3, 6, 9, 12], [2, 3, 5, 6])
    """
    return [-(-layer * of // layers) for layer in range(1, layers + 1)]


def check_rising(key: str, layers: Sequence[int], count: int, whose: str) -> None:
    """
    Args: `whose` layers they are, of which there are `count`.

    Raises:
        UserError: the layers are none, not in order, twice the same, or not between 1 and `count`.
    """
    if not layers or sorted(set(layers)) != list(layers) or layers[0] < 1 or layers[-1] > count:
        example = evenly_spaced(min(max(len(layers), 1), count), count)
        raise UserError(
            f"{key} is {list(layers)}; it must rise, within {whose} layers 1 to {count}, for instance {example}."
        )
