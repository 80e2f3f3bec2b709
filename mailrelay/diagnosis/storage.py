"""Files: the directory of the embedded default, and the room on its disk."""

import os
from collections.abc import Iterator

from django.conf import settings

from mailrelay.diagnosis.findings import Check, Finding
from mailrelay.health import readiness

CHECK = Check("files")


def data_dir() -> Iterator[Finding]:
    """Look at DATA_DIR: what is in transfer is spooled there, and SQLite lives there."""
    path = settings.DATA_DIR
    if path.is_dir() and os.access(path, os.W_OK | os.X_OK):
        yield CHECK.ok(f"DATA_DIR {path} can be written.")
    elif settings.EMBEDDED:
        yield CHECK.problem(
            f"DATA_DIR {path} is not a directory that this user (uid {os.getuid()}) may write.",
            f"Create it and give it away: mkdir -p {path} && chown {os.getuid()} {path}; in Kubernetes set "
            "fsGroup in the pod's securityContext.",
        )
    else:
        yield CHECK.ok(
            f"DATA_DIR {path} is not there; mail in transfer is spooled in the system's own place."
        )


def free_space() -> Iterator[Finding]:
    """Look at the room for mail in transfer and, with SQLite, for what is stored."""
    said = readiness.spool()
    if said == readiness.OK:
        yield CHECK.ok("There is room on the disk.")
        return
    yield CHECK.problem(
        f"{said[0].upper()}{said[1:]}: mail is answered with 452 4.3.1.",
        "Free space there, enlarge the volume, or shorten RETENTION_SENT_HOURS and RETENTION_FAILED_DAYS.",
    )
