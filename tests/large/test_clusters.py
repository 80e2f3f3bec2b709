"""Large mail on PostgreSQL with either broker: in a queue of its own, whole after a kill, and once."""

import json
import subprocess
import sys

import pytest

from sandbox import world
from tests.harness.ports import eventually
from tests.harness.processes import ROOT, rows, send
from tests.large.mails import MEBIBYTE, files, parsed, with_files

#: A lease of a killed worker, its mail's next attempt, and an upload, on a slow machine.
RECLAIMED = 110
FILES = [9 * MEBIBYTE, 2 * MEBIBYTE]


@pytest.fixture(params=["on_redis", "on_rabbitmq"])
def cluster(request):
    """Relay and worker, whose application has Mail.ReadWrite."""
    stack = request.getfixturevalue(request.param)
    stack.environment |= {
        "AZURE_CLIENT_ID": world.SECOND_CLIENT,
        "AZURE_CLIENT_SECRET": "sandbox-secret-2",
        "LEASE_SECONDS": "6",
    }
    stack.migrate()
    return stack


def in_mid_upload(stack) -> bool:
    """Whether a part of a file is at Graph, and the next one on its way."""
    lines = [line for line in stack.sandbox.ledger() if line["kind"] == "upload" and line["method"] == "PUT"]
    return [line["decision"] for line in lines] == ["applied", "hung"]


def delivered_once(stack, message) -> None:
    (delivery,) = stack.delivered()
    assert delivery["route"] == "draft"
    assert files(parsed(stack.sandbox.raw(delivery["seq"]))) == files(message)
    eventually(lambda: stack.sandbox.stats()["drafts"] == 0, RECLAIMED, "no draft being left")


def active_tasks(environment) -> list[dict]:
    """List what the workers carry out at this moment, as Celery tells it."""
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "gateway",
        "inspect",
        "active",
        "--json",
        "--timeout",
        "5",
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    try:
        return [task for tasks in json.loads(done.stdout).values() for task in tasks]
    except ValueError:
        return []  # no worker has answered in time


def test_large_mail_has_a_queue_of_its_own_and_small_mail_overtakes_it(cluster):
    relay, worker = cluster.listener().start(), cluster.worker().start()
    cluster.sandbox.fault("upload", "hang", skip=1)
    message = with_files(FILES)

    send(relay.smtp_port, message)
    eventually(lambda: in_mid_upload(cluster), RECLAIMED, "an upload being under way")
    (task,) = eventually(lambda: active_tasks(worker.environment), RECLAIMED, "the worker telling its task")
    send(relay.smtp_port, with_files([1000], Message_ID="<small@app.test>"))
    eventually(cluster.delivered, RECLAIMED, "the small mail being sent")

    assert task["delivery_info"]["routing_key"] == "deliver-large-environment"
    assert [mail["internet_message_id"] for mail in cluster.delivered()] == ["<small@app.test>"]
    cluster.sandbox.clear_faults()
    cluster.wait_for(RECLAIMED, sent=2)
    assert [mail["route"] for mail in cluster.delivered()] == ["mime", "draft"]
    assert files(parsed(cluster.sandbox.raw(cluster.delivered()[-1]["seq"]))) == files(message)


def test_a_worker_killed_in_mid_upload_is_replaced_and_the_mail_is_sent_once(cluster):
    relay, worker = cluster.listener().start(), cluster.worker().start()
    cluster.sandbox.fault("upload", "hang", skip=1)
    message = with_files(FILES)

    send(relay.smtp_port, message)
    eventually(lambda: in_mid_upload(cluster), RECLAIMED, "an upload being under way")
    worker.kill()
    cluster.worker().start()
    cluster.wait_for(RECLAIMED, sent=1)

    delivered_once(cluster, message)
    query = "SELECT outcome FROM mailrelay_sendlog ORDER BY number"
    assert rows(cluster.environment, query) == [("transient",), ("sent",)]
    assert rows(cluster.environment, "SELECT copies FROM mailrelay_delivery") == [(0,)]


@pytest.mark.parametrize("point", ["draft.before:2", "draft.whole", "graph.after"])
def test_a_worker_killed_around_an_upload_makes_no_second_copy_and_leaves_no_draft(cluster, point):
    cluster.environment["UNCERTAIN_DELAY"] = "1"
    relay, worker = cluster.listener().start(), cluster.worker()
    worker.start(FAILPOINT=point)
    message = with_files(FILES)

    send(relay.smtp_port, message)
    worker.wait_until_killed()
    worker.start()
    cluster.wait_for(RECLAIMED, sent=1)

    delivered_once(cluster, message)
    assert rows(cluster.environment, "SELECT copies FROM mailrelay_delivery") == [(0,)]
