"""Croissant metadata of an export: JSON-LD that search engines and loaders read (croissant.json).

Format: Croissant 1.0, http://mlcommons.org/croissant/1.0, with the vocabulary for responsible AI,
http://mlcommons.org/croissant/RAI/1.0. Of each file of rows there is a record set with its flat columns; what
is nested in a column is in the file alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seke.exporting.counts import ExportCounts

    Record = dict[str, Any]

CONFORMS = ("http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0")
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
ENCODING = {
    ".parquet": "application/x-parquet",
    ".jsonl": "application/jsonlines",
    ".json": "application/json",
}
# Types of `datasets` -> those of Croissant; what is nested has none.
TYPES = {
    "string": "sc:Text",
    "int32": "sc:Integer",
    "int64": "sc:Integer",
    "float32": "sc:Float",
    "float64": "sc:Float",
    "bool": "sc:Boolean",
}
# Columns of the rows of instructions, and of `items.jsonl`, that are flat in every row.
ROW_COLUMNS = {"item": "sc:Text", "task": "sc:Text", "schema": "sc:Text"}
ITEM_COLUMNS = {"item": "sc:Text", "split": "sc:Text", "picture": "sc:Text"}
WHAT = {
    "label": "Class of the accepted perceived expression, by its number in the record set `classes`; none "
    "where no expression was accepted.",
    "soft_label": "Probability of each class, in the order of `classes`.",
    "unit_soft_label": "Probability that each action unit is active.",
    "votes": "How many people read the picture as each class; none where no votes are known.",
    "people": "Whether people agree (agree, split, unknown).",
    "model": "Whether the expression was accepted (sure, unsure).",
    "image": "Path of the picture from the folder of the data set.",
    "group": "Person or clip, as the manifest names it.",
    "consent": "What the people pictured agreed to, as the source states it; empty where it does not.",
}


def croissant(facts: Record, tally: ExportCounts) -> Record:
    """Return the metadata of an export; facts: the content of export.json."""
    files = [name for name in facts["files"] if not name.startswith("dataset_info")]
    from_records = _is_from_records(facts)
    scripted = "Made-up answers stand behind these labels. " if facts["scripted"] else ""
    answers_of = "observers" if from_records else "a vision model"
    published = day_of(facts)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS),
        "name": "perceived-facial-expressions",
        "description": f"{scripted}{facts['items']:,} pictures of faces with the perceived expressions, "
        "valence and arousal, and action units that a probabilistic engine accepted from repeated answers of "
        f"{answers_of}. README.md is the data card.",
        "license": _licences(facts, tally),
        "creator": {"@type": "sc:Organization", "name": "not stated"},
        "citeAs": _cited(facts),
        **({"datePublished": published} if published else {}),
        "version": f"{facts['version']}.0.0",
        "isLiveDataset": False,
        **_responsible(facts, tally),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "contentUrl": name,
                "encodingFormat": ENCODING[name[name.rindex(".") :]],
                "sha256": facts["files"][name],
            }
            for name in files
        ],
        "recordSet": list(_record_sets(facts, files)),
    }


def _record_sets(facts: Record, files: list[str]) -> Iterator[Record]:
    yield {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "description": "The classes of `label` by number.",
        "key": {"@id": "classes/number"},
        "field": [
            {"@type": "cr:Field", "@id": "classes/number", "name": "number", "dataType": "sc:Integer"},
            {"@type": "cr:Field", "@id": "classes/name", "name": "name", "dataType": "sc:Text"},
        ],
        "data": [
            {"classes/number": number, "classes/name": state}
            for number, state in enumerate(facts["card"]["states"])
        ],
    }
    for name in files:
        kind, ending = name.partition("/")[0], name.rpartition(".")[2]
        columns = _parquet_columns(facts) if ending == "parquet" else None
        if ending == "jsonl" and kind in ("messages", "trl"):
            columns = {column: (kind_of, False) for column, kind_of in ROW_COLUMNS.items()}
        elif name == "items.jsonl":
            columns = {column: (kind_of, False) for column, kind_of in ITEM_COLUMNS.items()}
        if columns is None:
            continue
        # Ids are paths, and a field is told from the file by its record set.
        rows = re.sub(r"\W", "-", name.rpartition(".")[0])
        yield {
            "@type": "cr:RecordSet",
            "@id": rows,
            "name": rows,
            "description": f"The rows of {name}.",
            "field": [_field(rows, name, column, *kind_of) for column, kind_of in columns.items()],
        }


def _field(rows: str, file: str, column: str, kind: str, repeated: bool) -> Record:
    field: Record = {
        "@type": "cr:Field",
        "@id": f"{rows}/{column}",
        "name": column,
        "description": WHAT.get(column, f"Column `{column}`."),
        "dataType": kind,
        "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
    }
    return field | ({"repeated": True} if repeated else {})


def _parquet_columns(facts: Record) -> dict[str, tuple[str, bool]]:
    """Return the flat columns of the parquet files: their types, and whether they hold lists."""
    columns: dict[str, tuple[str, bool]] = {}
    for name, feature in facts["card"]["features"].items():
        kind = feature.get("_type") if isinstance(feature, dict) else None
        if kind == "Value" and feature["dtype"] in TYPES:
            columns[name] = TYPES[feature["dtype"]], False
        elif kind == "ClassLabel":
            columns[name] = "sc:Float", False
        elif kind == "Sequence":
            columns[name] = TYPES[feature["feature"]["dtype"]], True
    return columns


def _responsible(facts: Record, tally: ExportCounts) -> Record:
    """Return the fields of the vocabulary for responsible AI."""
    run, terms = facts["card"]["run"], facts["card"]["licences"]
    consent = "; ".join(
        f"{source or 'pictures without a source'}: "
        f"{(terms.get(source) or {}).get('consent') or 'what the people pictured agreed to is not stated'}"
        for source in sorted(tally.sources)
    )
    votes = sum(count for (people, _), count in tally.doubts.items() if people != "unknown")
    return {
        "rai:dataCollection": "The pictures are of the sources that the card names; they were not taken for "
        "this data set.",
        "rai:dataCollectionType": "Secondary data analysis",
        "rai:dataAnnotationProtocol": f"{_asked(facts)}; a Bayesian network over declared knowledge decided "
        "which values are accepted.",
        "rai:dataAnnotationPlatform": f"seke {facts['program']}",
        "rai:machineAnnotationTools": [model["model"] for model in run["models"]],
        "rai:annotationsPerItem": f"{run['per_item']['mean']} answers on average",
        "rai:dataAnnotationAnalysis": f"People's votes are known of {votes:,} items; of "
        f"{tally.doubts['split', 'sure'] + tally.doubts['split', 'unsure']:,} of these they are split.",
        "rai:dataBiases": [
            *facts["card"]["observer_notes"],
            "Hard faces are rarer here than among all pictures that were annotated.",
        ],
        "rai:dataLimitations": "Labels are perceived expressions, not what people feel.",
        "rai:dataUseCases": "Training and testing of models that describe facial expressions.",
        "rai:dataSocialImpact": "Not to be used to infer what people feel, intend or are like.",
        "rai:personalSensitiveInformation": f"Pictures of faces. Consent by source: {consent}.",
        "rai:dataReleaseMaintenancePlan": "Items and persons are taken out on request "
        f"({'the set is exported again' if _is_from_records(facts) else 'seke forget'}).",
    }


def _is_from_records(facts: Record) -> bool:
    """Whether the labels are of records, which do not say who answered."""
    return bool(facts["card"]["run"].get("records"))


def _asked(facts: Record) -> str:
    """Return who was asked, and how."""
    run = facts["card"]["run"]
    if _is_from_records(facts):
        names = ", ".join(run["asked"])
        return (
            f"Observers ({names}) answered about each picture; which models or people they were is not known"
        )
    return (
        f"A vision model ({run['model']}) was asked repeatedly about each picture (strategy "
        f"{run['strategy']}, at most {run['budget']} answers)"
    )


def _licences(facts: Record, tally: ExportCounts) -> list[str]:
    terms = facts["card"]["licences"]
    stated = (
        (terms[source]["licence"] if source in terms else facts["licence"]) or "not stated"
        for source in sorted(tally.sources)
    )
    return list(dict.fromkeys(stated))


def _cited(facts: Record) -> str:
    year = f" ({day_of(facts)[:4]})" if day_of(facts) else ""
    return f"Perceived facial expressions, accepted by seke {facts['program']}{year}"


def day_of(facts: Record) -> str:
    """Return the day of the last answer, so that the same run gives the same file.

    Of records, which do not tell it, it is no text.
    """
    newest = max((model["last"] for model in facts["card"]["run"]["models"]), default="")
    return newest or ("" if _is_from_records(facts) else "1970-01-01")
