"""Warnings that name the line of the user that they are about."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn"]

OURS = ("dsmfast", "sklearn", "joblib")  # whose pipelines and searches call ours


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line that is not of this package, nor of those that call it back."""
    frame = here = sys._getframe(1)
    while _package(frame.f_globals) in OURS:
        if frame.f_back is None:  # a thread of ours
            frame = here
            break
        frame = frame.f_back
    warnings.warn_explicit(
        text,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        frame.f_globals.get("__name__", "<unknown>"),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _package(names: dict[str, object]) -> str:
    return str(names.get("__name__", "")).partition(".")[0]
