"""What is to be written in the place of a cell that cannot be read."""

from __future__ import annotations

import re

# What coders write for true and false, and for how strong an action unit is.
TRUTH_WORDS = {
    "true": ("yes", "y", "present", "active", "on"),
    "false": ("no", "n", "absent", "inactive", "off"),
}
INTENSITIES = tuple("abcde")


def number_hint(value: object) -> str:
    """Return a hint where a text is a number with a decimal comma or a percentage, else an empty text."""
    text = value.strip() if isinstance(value, str) else ""
    if re.fullmatch(r"[-+]?\d{1,15},\d{1,15}", text):
        return f"; write a decimal point: {text.replace(',', '.')}"
    if re.fullmatch(r"[-+]?\d{1,15}([.,]\d{1,15})? ?%", text):
        share = float(text.rstrip(" %").replace(",", ".")) / 100
        return f"; write a percentage as a share: {share:.12g}"
    return ""


def truth_hint(value: object) -> str:
    """Return a hint where a text is a word for true or false, or an intensity of FACS, else an empty text."""
    text = value.strip().lower() if isinstance(value, str) else ""
    for truth, words in TRUTH_WORDS.items():
        if text in words:
            return f"; write {truth}"
    return "; write true from the intensity on that counts as active" if text in INTENSITIES else ""
