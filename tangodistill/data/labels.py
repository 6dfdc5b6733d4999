"""From labels as files hold them (text, typed numbers, class ids) to ids in the task's order; nothing is guessed."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from tangodistill.user_error import UserError

_WHOLE = re.compile(r"[-+]?\d+(\.0+)?")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_FILLERS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols by their category, yet nothing is drawn
_KINDS = {bool: "true or false", int: "a number", float: "a number", str: "text"}


def label_text(value: Any) -> str:
    """A label as text: text as it stands but for the blanks around it, other types as Python writes them.

    >>> [label_text(value) for value in (" 0.50 ", "null", 1, 1.0, True)]
    ['0.50', 'null', '1', '1.0', 'True']
    """
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()


def label_texts(values: Sequence, origin: str, class_names: Sequence[str] = ()) -> list[str]:
    """Each label as a name: class ids by their class's name, all else by `label_text`.

    Raises:
        UserError: a row has no label, several, or one of another type than the rows before it.

    >>> label_texts(["good", " 1.0 "], "a.csv")
    ['good', '1.0']
    """
    texts = []
    for row, value in enumerate(values, start=1):
        if isinstance(value, list | tuple | dict | set):
            raise UserError(
                f"{origin}, row {row}: the label is a list ({value}); multi-label data is not supported, "
                "give one label per row."
            )
        if class_names and isinstance(value, int):
            if not 0 <= value < len(class_names):
                raise UserError(f"{origin}, row {row}: class id {value}, but there are {len(class_names)} classes.")
            value = class_names[value]
        text = "" if value is None or value != value else label_text(value)
        if _is_blank(text):
            raise UserError(f"{origin}, row {row}: no label; every row needs one.")
        if _kind(value) != _kind(values[0]) and not class_names:
            raise UserError(
                f"{origin}, row {row}: the label {value!r} is {_kind(value)}, but row 1's, {values[0]!r}, is "
                f"{_kind(values[0])}; write all labels the same way."
            )
        texts.append(text)
    return texts


def infer_label_names(texts: Sequence[str], origin: str) -> tuple[str, ...]:
    """Distinct labels, sorted (numbers by value).

    Raises:
        UserError: the labels are quantities, or two of them are hardly two classes.

    >>> infer_label_names(["10", "9", "10"], "a.csv")
    ('9', '10')
    """
    distinct = sorted(set(texts))
    if all(_NUMBER.fullmatch(text) for text in distinct):
        distinct.sort(key=float)
        fraction = next((text for text in distinct if not _WHOLE.fullmatch(text)), None)
        # whole numbers name classes as long as the classes recur
        if fraction is not None or (len(distinct) > 50 and len(texts) < 10 * len(distinct)):
            found = f"such as {fraction}" if fraction is not None else f"{len(distinct):,} different ones"
            raise UserError(
                f"{origin}: the labels are numbers ({found}), which looks like regression; only classification is "
                "supported. If they do name classes, list them in dataset.label_names, in quotes."
            )
    if alike := _alike(distinct):
        raise UserError(
            f"{origin}: the labels {' and '.join(map(_shown, alike))} differ in case, spacing or spelling of a number "
            "only. Write them alike; if they are two classes, list all in dataset.label_names, in quotes."
        )
    return tuple(distinct)


def given_label_names(names: Iterable[Any], key: str) -> tuple[str, ...]:
    """Names that the user gave, normalised as a file's labels are.

    Raises:
        UserError: one is blank, or comes twice.

    >>> given_label_names([" 1.0 ", "0.0"], "dataset.label_names")
    ('1.0', '0.0')
    """
    texts = tuple(map(label_text, names))
    for text in texts:
        if _is_blank(text):
            raise UserError(f"{key} holds a blank name ({text!r}); give each class a name.")
        if texts.count(text) > 1:
            raise UserError(f"{key} names the class {_shown(text)} twice.")
    return texts


def label_ids(texts: Sequence[str], names: Sequence[str], origin: str, are_ids: bool = False) -> list[int]:
    """Ids by name; or, where labels are said to be ids themselves, by number.

    Raises:
        UserError: a label is not in the label set.

    >>> label_ids(["b", "a"], ("a", "b"), "a.csv"), label_ids(["1", "0.0"], ("a", "b"), "a.csv", are_ids=True)
    ([1, 0], [1, 0])
    """
    ids = {name: i for i, name in enumerate(names)}
    if are_ids:
        ids = {text: int(float(text)) for text in set(texts) if _WHOLE.fullmatch(text)}
        ids = {text: i for text, i in ids.items() if 0 <= i < len(names)}
    for row, text in enumerate(texts, start=1):
        if text not in ids:
            raise UserError(f"{origin}, row {row}: {_not_in_set(text, names, are_ids)}")
    return [ids[text] for text in texts]


def _not_in_set(text: str, names: Sequence[str], are_ids: bool) -> str:
    """What is wrong with a label, and what would help."""
    if are_ids:
        return f"label {_shown(text)} is no class id; there are {len(names)} classes, so ids are 0 to {len(names) - 1}."
    found = f"label {_shown(text)} is not in the label set ({', '.join(names)}); "
    if near := _alike([text, *names], text):
        return f"{found}write it as {_shown(near[1])}, or name it so in dataset.label_names, in quotes."
    if _WHOLE.fullmatch(text) and 0 <= float(text) < len(names):
        return f"{found}name the classes as the file does, or, if its labels are ids, set dataset.label_ids to true."
    return f"{found}correct it, or list all classes in dataset.label_names."


def _alike(texts: Sequence[str], wanted: str | None = None) -> tuple[str, str] | None:
    """The first two that differ in case, spacing or the spelling of a number only, of which one is `wanted`."""
    first: dict[Any, str] = {}
    for text in texts:
        seen = "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if unicodedata.category(c) != "Cf")
        key = float(text) if _NUMBER.fullmatch(text) else " ".join(seen.split())
        other = first.setdefault(key, text)
        if other != text and wanted in (None, text, other):
            return other, text
    return None


def _is_blank(text: str) -> bool:
    """Whether nobody would read anything there: white space, control and zero-width characters."""
    return all(c in _FILLERS or unicodedata.category(c) in ("Cc", "Cf", "Zs", "Zl", "Zp") for c in text)


def _shown(text: str) -> str:
    """A label in a message: what is in it and can't be seen is spelt out."""
    return f"'{text}'" if all(c == " " or not _is_blank(c) for c in text) else ascii(text)


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), type(value).__name__)
