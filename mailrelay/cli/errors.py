"""What a person at the command line is told instead of a traceback."""


class CliError(Exception):
    """What was asked cannot be done; the text says why and what to do instead."""
