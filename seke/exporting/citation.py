"""How an export is cited: CITATION.cff, in the Citation File Format 1.2.0 (doi:10.5281/zenodo.5171937).

Each value is JSON, which is YAML, so that no name from outside can break out of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from seke.exporting.croissant import day_of

if TYPE_CHECKING:
    from seke.exporting.counts import ExportCounts

    Record = dict[str, Any]

CITATION = "CITATION.cff"
MESSAGE = (
    "If you use this data set, cite it, the sources of its pictures under their terms, and the software that "
    "accepted its labels. Put the names of those who made it in place of the author below."
)
SOFTWARE = {
    "type": "software",
    "title": "seke",
    "authors": [{"name": "The seke developers"}],
    "url": "https://arxiv.org/abs/2505.18168",
}


def citation(facts: Record, tally: ExportCounts) -> str:
    """Return the text of CITATION.cff; facts: the content of export.json."""
    terms = facts["card"]["licences"]
    sources = [
        {
            "type": "data",
            "title": source,
            "authors": [{"name": f"The authors of {source}"}],
            **({"url": terms[source]["url"]} if terms.get(source, {}).get("url") else {}),
            "notes": f"licence: {terms.get(source, {}).get('licence') or facts['licence'] or 'not stated'}",
        }
        for source in sorted(tally.sources)
        if source
    ]
    released = day_of(facts)
    fields: Record = {
        "cff-version": "1.2.0",
        "message": MESSAGE,
        "type": "dataset",
        "title": "Perceived facial expressions, accepted by seke",
        "authors": [{"name": "Not stated"}],
        **({"date-released": released} if released else {}),
        "references": [{**SOFTWARE, "version": facts["program"]}, *sources],
    }
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in fields.items())
