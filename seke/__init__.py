"""seke: vision-LLM samples of facial emotion -> posteriors and decisions, by declared knowledge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seke.explanation import explain
    from seke.inference import infer
    from seke.shipped import knowledge

__version__ = "0.1.0"
__all__ = ["__version__", "explain", "infer", "knowledge"]


def __getattr__(name: str) -> Any:
    if name == "explain":
        from seke.explanation import explain

        return explain
    if name == "infer":
        from seke.inference import infer

        return infer
    if name == "knowledge":
        from seke.shipped import knowledge

        return knowledge
    raise AttributeError(f"module 'seke' has no attribute {name!r}")
