"""From labels as files hold them (names, numbers, class ids) to ids in the task's order."""

import re
from collections.abc import Sequence

from tangodistill.user_error import UserError

_WHOLE = re.compile(r"[-+]?\d+(\.0+)?")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def label_texts(values: Sequence, origin: str, class_names: Sequence[str] = ()) -> list[str]:
    """Each label as a name: text as it is, class ids by their class's name, whole numbers in decimal.

    Raises:
        UserError: a row has no label, or several.

    >>> label_texts(["good", 1, 2.0], "a.csv")
    ['good', '1', '2']
    """
    texts = []
    for row, value in enumerate(values, start=1):
        if isinstance(value, list | tuple | dict | set) or (isinstance(value, str) and re.fullmatch(r"\[.*\]", value)):
            raise UserError(
                f"{origin}, row {row}: the label is a list ({value}); multi-label data is not supported, "
                "give one label per row."
            )
        if value is None or value != value or value == "":
            raise UserError(f"{origin}, row {row}: no label; every row needs one.")
        if class_names and isinstance(value, int):
            if not 0 <= value < len(class_names):
                raise UserError(f"{origin}, row {row}: class id {value}, but there are {len(class_names)} classes.")
            value = class_names[value]
        text = str(value).strip()
        texts.append(text.split(".")[0] if _WHOLE.fullmatch(text) else text)
    return texts


def infer_label_names(texts: Sequence[str], origin: str) -> tuple[str, ...]:
    """Distinct labels, sorted (numbers by value).

    Raises:
        UserError: the labels are quantities.

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
                "supported. If they do name classes, list them in dataset.label_names."
            )
    return tuple(distinct)


def label_ids(texts: Sequence[str], names: Sequence[str], origin: str, by_id: bool = True) -> list[int]:
    """Ids by name; labels of which none is a name are taken as ids themselves, where that is allowed.

    Raises:
        UserError: a label is not in the label set.

    >>> label_ids(["1", "0"], ("negative", "positive"), "a.csv")
    [1, 0]
    """
    ids = {name: i for i, name in enumerate(names)}
    if by_id and not ids.keys() & set(texts):
        ids = {str(i): i for i in range(len(names))}
    for row, text in enumerate(texts, start=1):
        if text not in ids:
            raise UserError(
                f"{origin}, row {row}: label '{text}' is not in the label set ({', '.join(names)}); "
                "correct it, or list all classes in dataset.label_names."
            )
    return [ids[text] for text in texts]
