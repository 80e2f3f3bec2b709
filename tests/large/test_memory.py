"""Large mail never stands in memory: the whole gateway stays within its bound, however large the mail."""

import sqlite3
from pathlib import Path

import pytest

from tests.harness.processes import as_sent, rows, send
from tests.large.mails import MEBIBYTE, files, parsed, with_files

BOUND = 128 * MEBIBYTE


def peak(process) -> int:
    """The most resident memory that the process ever had, in bytes."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [25, 105])
def test_the_whole_gateway_stays_within_its_bound(able, megabytes):
    """As MIME that is 35 MB and 145 MB."""
    able.environment |= {"SMTP_MAX_MESSAGE_SIZE": str(160 * MEBIBYTE), "SMTP_HOSTNAME": "gateway.test"}
    able.sandbox.world(limits={"message_bytes": 160 * MEBIBYTE, "upload_bytes": 0})
    listener = able.start()
    message = with_files([megabytes * MEBIBYTE // 10] * 10)
    data = as_sent(message)
    if len(data) > 35 * MEBIBYTE:
        listener.stop()
        _raise_mailbox_limit(able)
        listener.start()

    send(listener.smtp_port, data, timeout=110)
    able.wait_for(sent=1, timeout=110)

    (delivery,) = able.delivered()
    assert files(parsed(able.sandbox.raw(delivery["seq"]))) == files(message)
    assert peak(listener) < BOUND
    assert rows(able.environment, "SELECT route FROM mailrelay_sendlog") == [("large",)]


def _raise_mailbox_limit(stack) -> None:
    path = Path(stack.environment["DATA_DIR"]) / "gateway.sqlite3"
    connection = sqlite3.connect(path, timeout=30)
    with connection:
        connection.execute("UPDATE mailrelay_mailbox SET max_message_size = ?", (150 * MEBIBYTE,))
    connection.close()
