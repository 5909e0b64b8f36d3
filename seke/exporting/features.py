"""The types of an export's parquet columns, as `datasets` reads them of a file's schema or of a card.

A schema of Arrow says which numbers a column has; that a number is a class, or a struct a picture, stands
beside it: as JSON in the metadata `huggingface` of the file, and as YAML in the front matter of the card
(`dataset_info`). Both are written here without `datasets`, which reads them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Record = dict[str, Any]

# Arrow's names of types -> those of `datasets`.
DTYPES = {"double": "float64", "float": "float32"}
METADATA = "huggingface"


def features_of(schema: Any, classes: Mapping[str, Sequence[str]], pictures: Sequence[str]) -> Record:
    """Return the features of a schema of Arrow.

    classes: column -> names of its classes. pictures: columns that hold pictures.
    """
    features: Record = {}
    for field in schema:
        if field.name in classes:
            features[field.name] = {"names": list(classes[field.name]), "_type": "ClassLabel"}
        elif field.name in pictures:
            features[field.name] = {"_type": "Image"}
        else:
            features[field.name] = _feature(field.type)
    return features


def _feature(kind: Any) -> Any:
    from pyarrow import types

    if types.is_struct(kind):
        return {kind.field(k).name: _feature(kind.field(k).type) for k in range(kind.num_fields)}
    if types.is_fixed_size_list(kind):
        return {"feature": _feature(kind.value_type), "length": kind.list_size, "_type": "Sequence"}
    if types.is_list(kind):
        inner = _feature(kind.value_type)
        # A `Sequence` of structs is read as a struct of sequences.
        return [inner] if types.is_struct(kind.value_type) else {"feature": inner, "_type": "Sequence"}
    return {"dtype": DTYPES.get(str(kind), str(kind)), "_type": "Value"}


def schema_metadata(features: Record) -> dict[str, str]:
    """Return the metadata of a file with these features."""
    return {METADATA: json.dumps({"info": {"features": features}})}


def card_features(features: Record) -> list[Record]:
    """Return features as the front matter of a card has them."""
    return [{"name": name, **_card_type(feature)} for name, feature in features.items()]


def _card_type(feature: Any) -> Record:
    if isinstance(feature, list):
        return {"list": card_features(feature[0])}
    kind = feature.get("_type") if isinstance(feature.get("_type"), str) else None
    if kind is None:
        return {"struct": card_features(feature)}
    if kind == "ClassLabel":
        names = {str(number): name for number, name in enumerate(feature["names"])}
        return {"dtype": {"class_label": {"names": names}}}
    if kind == "Image":
        return {"dtype": "image"}
    if kind == "Sequence":
        length = {"length": feature["length"]} if "length" in feature else {}
        return {"sequence": feature["feature"]["dtype"], **length}
    return {"dtype": feature["dtype"]}
