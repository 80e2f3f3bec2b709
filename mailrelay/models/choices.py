"""The shared vocabulary as Django choices."""

from enum import StrEnum


def choices(words: type[StrEnum]) -> list[tuple[str, str]]:
    """Make (value, label) pairs of an enum; the empty word reads as a dash."""
    return [(word.value, word.value.replace("_", " ") or "-") for word in words]
