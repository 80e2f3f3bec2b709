"""Limits hold when several processes claim at the same moment, on PostgreSQL."""

import subprocess
import sys
import time

import pytest

from tests.accept.installation import NOWHERE
from tests.harness.processes import ROOT, base_environment, manage, rows

CAP, MAILBOXES, PROCESSES = 3, 8, 4
MAKE = f"""
from tests.outbox import rows
app = rows.registration(concurrency={CAP})
for number in range({MAILBOXES}):
    rows.queue(rows.mailbox(f"box{{number}}@contoso.test", app), 5)
rows.workers()
"""
#: Each begins at the same moment, and goes through the mailboxes in an order of its own.
CLAIM = """
import random, sys, time
from mailrelay.models import Mailbox
from mailrelay.outbox.claiming import claim
boxes = list(Mailbox.objects.values_list("pk", flat=True))
random.Random(NUMBER).shuffle(boxes)
time.sleep(max(0.0, START - time.time()))
for box in boxes:
    claim.claim(box)
"""


@pytest.mark.timeout(240)
def test_the_cap_of_a_registration_holds_when_processes_claim_for_its_mailboxes_at_once(tmp_path, postgresql):
    environment = base_environment(tmp_path / "data", **NOWHERE, DATABASE_URL=postgresql.database())
    manage(environment, "migrate", "--verbosity", "0")
    manage(environment, "shell", "--no-imports", "-c", MAKE)

    start = time.time() + 8
    racers = [
        subprocess.Popen(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
            cwd=ROOT,
            env=environment,
        )
        for code in (
            CLAIM.replace("NUMBER", str(number)).replace("START", str(start)) for number in range(PROCESSES)
        )
    ]
    assert [racer.wait(120) for racer in racers] == [0] * PROCESSES

    ((reserved,),) = rows(environment, "SELECT COUNT(*) FROM mailrelay_delivery WHERE state = 'reserved'")
    assert reserved == CAP
