"""What is wrong with a line that is not YAML, and the line as it should be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml

# A line is shown as it should be up to this length.
LONGEST_MENDED = 200
# A key with a text that has a colon, in a line of its own and within braces.
COLON_IN_TEXT = re.compile(r"^(\s*(?:- +)?[^\s:#\"'{\[][^:\"'{\[]*: +)([^\s\"'{\[|>&*!%@`].*)$")
COLON_IN_BRACES = re.compile(r"([\w.-]+: +)([^\s,{}\[\]\"'][^,{}\[\]\"']*:(?: [^,{}\[\]\"']*|$))")


def mended_line(error: yaml.MarkedYAMLError, lines: list[str], row: int, column: int) -> str:
    """Return what is wrong with a text that has a colon or with braces, and the line as it should be.

    An empty text where it is something else.
    """
    line = lines[row] if row < len(lines) else ""
    if len(line) > LONGEST_MENDED:
        return ""
    in_braces = line[:column].count("{") > line[:column].count("}")
    of_colon = (COLON_IN_BRACES if in_braces else COLON_IN_TEXT).search(line)
    if line[column : column + 1] == ":" and of_colon and of_colon.start(2) < column:
        quoted = of_colon[2].strip().replace("\\", "\\\\").replace('"', '\\"')
        start, end = of_colon.span(2)
        whole = f'{line[:start]}"{quoted}"{line[end:]}'.strip()
        return f"is not YAML: a text that holds a colon needs quotes; write {whole}"
    begun = error.context_mark.line if error.context_mark else row
    text = lines[begun].partition(" #")[0].rstrip() if begun < row else ""
    text = text if len(text) <= LONGEST_MENDED else ""
    lacking = {pair[1]: text.count(pair[0]) - text.count(pair[1]) for pair in ("{}", "[]")}
    open_kinds = [closing for closing, count in lacking.items() if count]
    if len(open_kinds) == 1 and lacking[open_kinds[0]] > 0 and text[-1:] not in ",{[":
        (closing,) = open_kinds
        closings = closing * lacking[closing]
        mended = text.strip() + closings
        return f"is not YAML: {closings} is missing at the end of line {begun + 1}; write {mended}"
    return ""
