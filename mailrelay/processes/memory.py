"""How the C library keeps the memory that is given back to it."""

import ctypes

#: glibc's malloc.h: how many arenas there may be.
_M_ARENA_MAX = -8


def one_arena() -> None:
    """Let all threads allocate in one arena; call it before they start. Nothing happens without glibc.

    By itself glibc gives each thread an arena, up to eight a core, and each keeps what was freed in it: with
    50 clients sending 10 MB at once that was some 15 MiB. Python's threads hardly ever allocate at once.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_ARENA_MAX, 1)
