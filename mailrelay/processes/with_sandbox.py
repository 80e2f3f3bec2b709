"""`rungateway --sandbox`: the sandbox as a child, and this process once more with the sandbox's addresses.

The sandbox is named to the gateway by the same variables as Microsoft is; no code here knows it otherwise.
"""

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mailrelay.processes.data_dir import StartError

#: The argument of rungateway that asks for it.
OPTION = "--sandbox"
#: Set in the second run, so that it does not start a second sandbox.
MARK = "GATEWAY_SANDBOX"
#: Seconds for the sandbox to make its certificates and bind.
PATIENCE = 30.0


def start_again(data_dir: Path) -> None:
    """Start the sandbox and replace this process by one that delivers to it; returns in that one.

    Raises StartError.
    """
    if MARK in os.environ:
        return
    refuse_where_it_is_absent()
    folder = data_dir / "sandbox"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sandbox.json").unlink(missing_ok=True)
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "sandbox",
            "--data-dir",
            str(folder),
            "--with-parent",
            str(os.getpid()),
            *_ports(),
        ]
    )
    found = _wait(child, folder / "sandbox.json")
    os.environ |= {
        MARK: found["page_url"],
        "AZURE_TENANT_ID": "11111111-1111-1111-1111-111111111111",
        "AZURE_CLIENT_ID": "22222222-2222-2222-2222-222222222222",
        "AZURE_CLIENT_SECRET": "sandbox-secret",
        "SENDER_EMAIL": os.environ.get("SENDER_EMAIL", "gateway@contoso.test"),
        "AZURE_AUTHORITY_HOST": found["base_url"],
        "GRAPH_ENDPOINT": found["base_url"],
        "REQUESTS_CA_BUNDLE": found["ca_file"],
    }
    os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 - the very command that was given


def refuse_where_it_is_absent() -> None:
    """Raise StartError where this installation has no sandbox, as the image has none."""
    if find_spec("sandbox") is None or find_spec("aiohttp") is None:
        raise StartError(
            "This installation has no sandbox, as the image has none. In a clone of the project, `make demo` "
            "starts one."
        )


def _ports() -> list[str]:
    page = os.environ.get("SANDBOX_PAGE_PORT")
    port = os.environ.get("SANDBOX_PORT", "0")
    host = os.environ.get("SANDBOX_HOST", "127.0.0.1")
    return ["--host", host, "--port", port, *(["--page-port", page] if page else [])]


def _wait(child: "subprocess.Popen[bytes]", path: Path) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and child.poll() is None:
        if path.exists():
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
        time.sleep(0.05)
    raise StartError("The sandbox did not start; what it printed above says why.")
