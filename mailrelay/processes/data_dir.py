"""The lock that keeps a second gateway out of DATA_DIR; it needs no Django."""

import fcntl
import time
from pathlib import Path
from typing import IO

#: Seconds between two tries.
STEP = 0.2


class StartError(Exception):
    """This process cannot start; the text says why and what to do."""


def lock(data_dir: Path, wait: float) -> IO[str]:
    """Hold DATA_DIR for as long as the file that is returned is open.

    Waits up to `wait` seconds for another gateway to end. Raises StartError.
    """
    file = _open(data_dir / "gateway.lock")
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= end:
                raise StartError(
                    f"Another gateway uses {data_dir}: stop it first, or give this one "
                    "a DATA_DIR of its own. (gateway.E014)"
                ) from None
            time.sleep(STEP)
        else:
            return file


def _open(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w")
    except OSError as error:
        raise StartError(
            f"{path.parent} cannot be written: {error.strerror}. "
            "Make DATA_DIR a directory that this process may write. (gateway.E015)"
        ) from None
