"""Refusals of upkeep, in sentences for the person who asked."""


class UpkeepError(Exception):
    """Nothing was changed; the text says why and what to do."""
