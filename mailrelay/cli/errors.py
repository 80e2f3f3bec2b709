"""The error that a command prints instead of a traceback."""


class CliError(Exception):
    """What was asked cannot be done; the text says why and what to do instead."""
