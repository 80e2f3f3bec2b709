"""What a person at the command line is told instead of a traceback."""


class PostmasterError(Exception):
    """What was asked cannot be done; the text says why and what to do instead."""
