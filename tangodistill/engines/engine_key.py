"""The name of how a tier is run: its engine, its precision, and the length configuration where one was chosen.

A threshold, an agreement with PyTorch and a measured time belong to such a key. Shares of tokens lie on a grid of
1/10,000, so that nothing of them is lost in it.
"""

from collections.abc import Sequence

Lengths = tuple[float, ...]
"""Of a Dynamic-TinyBERT: for each layer the share of the tokens that it keeps."""


def engine_key(engine: str, precision: str, lengths: Sequence[float] | None = None) -> str:
    """The key; without `lengths` the tier keeps to its folder's own configuration.

    >>> engine_key("onnxruntime", "fp32"), engine_key("torch", "bf16", [1, 0.6, 0.35])
    ('onnxruntime-fp32', 'torch-bf16@1-0.6-0.35')
    """
    return f"{engine}-{precision}" + (f"@{lengths_name(lengths)}" if lengths is not None else "")


def split_key(key: str) -> tuple[str, str, Lengths | None]:
    """Engine, precision and length configuration.

    >>> split_key("onnxruntime-int8_static"), split_key("torch-bf16@1-0.6-0.35")
    (('onnxruntime', 'int8_static', None), ('torch', 'bf16', (1.0, 0.6, 0.35)))
    """
    name, _, shares = key.partition("@")
    engine, _, precision = name.partition("-")
    return engine, precision, tuple(map(float, shares.split("-"))) if shares else None


def lengths_name(lengths: Sequence[float]) -> str:
    """A length configuration in a key, or in the name of a folder.

    >>> lengths_name((1.0, 0.6, 0.3001))
    '1-0.6-0.3001'
    """
    return "-".join(f"{share:g}" for share in lengths)
