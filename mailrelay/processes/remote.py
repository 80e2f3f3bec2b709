"""`manage.py COMMAND` where memory is scarce: the running gateway carries the command out.

It needs nothing but the standard library, some 12 MiB. See `mailrelay.processes.control` for the other side.
"""

import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from mailrelay import memory

#: The socket in DATA_DIR.
SOCKET = "control.sock"
#: Commands that the gateway carries out, and that only read their arguments and write text.
COMMANDS = frozenset(
    {"backup", "config", "doctor", "mailq", "rotate_field_keys", "sender", "sendtest", "smtpclient"}
)
#: Bytes that the arguments may have.
LINE_BYTES = 64 * 1024
#: Bytes that a second Python with all of the gateway in it takes.
OF_ITS_OWN = 72 * 1024 * 1024
#: Set to 1, a command that does not fit is tried all the same.
ANYWAY = "GATEWAY_RUN_ANYWAY"


def carried_out(arguments: Sequence[str], data_dir: Path) -> int | None:
    """Have the gateway that runs on `data_dir` carry out `arguments`; return the exit code.

    None where it is to be done in this process: memory is ample, no gateway runs, or there is room for it.
    """
    if not memory.scarce() or not arguments:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(data_dir / SOCKET))
        except OSError:
            return None
        if arguments[0] not in COMMANDS or any(map(is_for_the_asker, arguments)):
            return None if os.environ.get(ANYWAY) == "1" else _refuse(arguments[0])
        words = [_absolute(word) for word in arguments]
        connection.sendall(json.dumps(words).encode() + b"\n")
        return _print_answer(connection)


def is_for_the_asker(word: str) -> bool:
    """Whether an argument asks for help or a version, or for what is read from standard input."""
    return word in {"-h", "-", "--stdin", "/dev/stdin"} or word.startswith(("--h", "--ver"))


def _absolute(word: str) -> str:
    """Make the name of a file whole: the gateway has a working directory of its own."""
    return str(Path(word).absolute()) if "." in word and "@" not in word and word[0] not in "-/" else word


def _print_answer(connection: socket.socket) -> int:
    with connection.makefile("r", encoding="utf-8") as lines:
        for line in lines:
            said = json.loads(line)
            for stream, name in ((sys.stdout, "out"), (sys.stderr, "err")):
                stream.write(said.get(name, ""))
                stream.flush()
            if "code" in said:
                return int(said["code"])
    sys.stderr.write("The gateway ended before the command did. Its log says why.\n")
    return 1


def _refuse(command: str) -> int | None:
    """Say why `command` is not begun, unless it fits into what memory is left."""
    left = memory.left()
    if left is None or left >= OF_ITS_OWN:
        return None
    sys.stderr.write(
        f"manage.py {command} would take some {OF_ITS_OWN >> 20} MiB, and beside the running gateway this "
        f"container has {left >> 20} MiB left: the kernel would kill one of them. Give the container more "
        f"memory for it, stop the gateway first, or set {ANYWAY}=1 to try it.\n"
    )
    return 1
