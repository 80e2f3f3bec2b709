"""Retention beside accepts and people, on PostgreSQL: who comes second waits, or finds what the first did."""

import json
import subprocess
import sys

import pytest

from tests.accept.installation import NOWHERE
from tests.harness.processes import ROOT, base_environment, manage

#: `race` leaves the first's transaction open until the second waits for it, or is through.
RACE = """
import json, threading, time
from datetime import timedelta
from django.db import connection, transaction
from mailrelay.models import ContentChunk, Delivery, Message
from mailrelay.outbox.db import clock
from mailrelay.outbox.operators import actions, resend
from mailrelay.outbox.scheduling import retention
from mailrelay.outbox.accepting.storing import Arrived, Store
from mailrelay.outbox.submission import Submission, new_queue_id
from mailrelay.vocabulary import State
from tests.outbox import rows

WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted"
box = rows.mailbox()
sender = rows.sender(box)
old = clock.now() - timedelta(days=31)

def waits():
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return cursor.fetchone() is not None

def race(first, second):
    open, done = threading.Event(), threading.Event()
    came_to = {}

    def run(name, work, then):
        try:
            with transaction.atomic():
                came_to[name] = work()
                then()
        except Exception as error:
            came_to[name] = type(error).__name__
        finally:
            connection.close()

    def hold():
        open.set()
        end = time.monotonic() + 60
        while not (done.is_set() or waits()) and time.monotonic() < end:
            time.sleep(0.02)

    def follow():
        open.wait(60)
        run("second", second, lambda: None)
        done.set()

    threads = [threading.Thread(target=run, args=("first", first, hold)), threading.Thread(target=follow)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came_to["first"], came_to["second"]

class Stored:
    size = 4

def stored():
    queue_id = new_queue_id()
    for number in range(4):
        ContentChunk.objects.create(content=queue_id, number=number, data=b"x", created_at=old)
    return queue_id

def accept(queue_id):
    mail = Submission(
        id=queue_id, received_at=clock.now(), client_id=None, client_key="c", client_address="127.0.0.1",
        client_name="c", mail_from="a@b.test", recipients=("ann@example.org",), header_from="a@b.test",
        subject="s", message_id="m@test", sender_id=sender.pk, registration_id=box.registration_id,
        mailbox_address=box.address, content=Stored())
    Store().insert([Arrived(mail, None)])
    return "taken"

def over(state):
    (delivery,) = rows.queue(box, 1, state=state)
    Message.objects.filter(pk=delivery.message_id).update(state=state, state_at=old)
    return delivery.message_id

def mark():
    return len(retention._mark())

retention.CHUNKS = 1
told = {}
one = stored()
told["sweep first"] = race(lambda: retention._remove_orphans([one]), lambda: accept(one))
two = stored()
told["accept first"] = race(lambda: accept(two), lambda: retention._remove_orphans([two]))
told["kept"] = ContentChunk.objects.filter(content=two).count()
for name, state, act in (
    ("release", State.HELD, lambda pk: actions.release(pk, "ann")),
    ("resend", State.SENT, lambda pk: resend.resend(pk, "ann", 0)),
    ("sender", State.FAILED, lambda pk: resend.change_sender(pk, "ann", sender)),
):
    three = over(state)
    told[f"mark, {name}"] = race(mark, lambda: act(three))
    four = over(state)
    told[f"{name}, mark"] = race(lambda: act(four), mark)
    told[name] = [Delivery.objects.get(message=pk).state for pk in (three, four)]
print(json.dumps(told))
"""


@pytest.mark.timeout(300)
def test_what_retention_takes_nobody_is_promised_and_what_somebody_is_promised_it_leaves(
    tmp_path, postgresql
):
    environment = base_environment(tmp_path / "data", **NOWHERE, DATABASE_URL=postgresql.database())
    manage(environment, "migrate", "--verbosity", "0")

    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", RACE],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        timeout=240,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "sweep first": [1, "ContentNotWholeError"],
        "accept first": ["taken", 0],
        "kept": 4,
        "mark, release": [1, "ContentRemovedError"],
        "release, mark": [1, 0],
        "release": ["failed", "queued"],
        "mark, resend": [1, "ContentRemovedError"],
        "resend, mark": [1, 0],
        "resend": ["sent", "queued"],
        "mark, sender": [1, "ContentRemovedError"],
        "sender, mark": [1, 0],
        "sender": ["failed", "queued"],
    }
