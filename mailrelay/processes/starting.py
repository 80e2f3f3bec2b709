"""The first step of `rungateway`, before Django is loaded: probes, the lock on DATA_DIR, the tables.

Loading everything takes seconds on a fifth of a core. Probes are answered from the first moment, and the
embedded database is brought to this version while this process is still small.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO

from gateway import early
from gateway.env import Environment
from gateway.fixed import INSTALLED_APPS
from mailrelay.health.front import Answer, Front, listen
from mailrelay.processes import with_sandbox
from mailrelay.processes.data_dir import StartError, lock
from mailrelay.processes.stopping import end_at_once
from mailrelay.schema import Schema, SchemaError, SettingsRefusedError

OK = Answer(HTTPStatus.OK, "application/json", b'{"status": "ok"}\n')
STARTING = Answer(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "application/json",
    b'{"ready": false, "failed": ["process"], "checks": {"process": "this process is starting"}}\n',
)
NO_METRICS = Answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"# this process is starting\n")
PROBES = {"/health": lambda: OK, "/ready": lambda: STARTING, "/metrics": lambda: NO_METRICS}


@dataclass
class Started:
    """What the first step has made."""

    #: None where HTTP_LISTEN is `off`, or cannot be used: the second step says so.
    front: Front | None
    #: None where the settings cannot be used.
    lock: IO[str] | None


_started: Started | None = None


def begin(arguments: Sequence[str] = ()) -> Started:
    """Take the first step, once a process. Raises StartError with what is wrong and what to do."""
    global _started  # noqa: PLW0603 - manage.py begins, and the command goes on
    if _started is None:
        _started = _begin(arguments)
    return _started


def _begin(arguments: Sequence[str]) -> Started:
    env = Environment()
    files, address = early.files(env), early.http_listen(env)
    if with_sandbox.OPTION in arguments:
        with_sandbox.start_again(files.data_dir)
    end_at_once()
    if env.problems:  # the system checks name them all
        return Started(None, None)
    front = _front(address)
    held = lock(files.data_dir, files.lock_wait)
    if files.embedded and not _bring_up_to_date(files, held):
        return Started(front, None)
    return Started(front, held)


def _front(address: early.HttpAddress | None) -> Front | None:
    try:
        return Front(listen(*address), PROBES).start() if address else None
    except (OSError, UnicodeError):  # the second step tries again, and says why not
        return None


def _bring_up_to_date(files: early.Files, held: IO[str]) -> bool:
    """Prepare the embedded database; false where the settings cannot be used, which the second step says."""
    try:
        Schema(early.BASE_DIR, INSTALLED_APPS).bring_up_to_date(files.database_file, held.fileno())
        return True
    except SettingsRefusedError:
        return False
    except SchemaError as error:
        reason = " ".join(str(error).split())
        raise StartError(
            f"The database in {files.data_dir} cannot be used: {reason.rstrip('.')}. (gateway.E012)"
        ) from None
