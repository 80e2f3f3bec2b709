"""Too much at once, too large, and a broker that is not there: what the listener promises regardless."""

import re
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.accept.installation import deliver, frozen, hand_in, queue_id_of, sent
from tests.harness.ports import eventually
from tests.smtp.smtp_server import Talk

MEGABYTE = 1_000_000
MEMORY_BAR = 128 * 2**20


def test_a_size_over_the_limit_is_552_at_mail_and_a_lie_about_it_after_the_dot(installation):
    relay = installation.relay(SMTP_MAX_MESSAGE_SIZE="1000000").start()

    with Talk(relay.smtp_port) as talk:
        reply = talk.say("EHLO client.test", "MAIL FROM:<app@contoso.test> SIZE=1000001")
        assert reply.startswith("552 5.3.4 ")
    assert deliver(relay.smtp_port, sent(1, 1_500_000)).startswith("552 5.3.4 ")

    assert installation.is_empty()
    queue_id_of(deliver(relay.smtp_port, sent(2, 500_000)))


def peak_memory(relay) -> int:
    status = Path(f"/proc/{relay.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_twenty_large_mails_at_once_stay_within_the_memory_and_another_client_is_served(on_sqlite_alone):
    relay = on_sqlite_alone.relay().start()
    content = sent("large", 35 * MEGABYTE)

    with ExitStack() as stack:
        talks = [stack.enter_context(Talk(relay.smtp_port)) for _ in range(20)]
        for talk in talks:
            talk.begin("app@contoso.test", "ann@example.org")
        for start in range(0, len(content), MEGABYTE):
            for talk in talks:
                talk.send(content[start : start + MEGABYTE])
            if start == 10 * MEGABYTE:
                queue_id_of(deliver(relay.smtp_port, sent("small")))
        for talk in talks:
            talk.send(b".\r\n")
        replies = {talk.reply()[:9] for talk in talks}

    # Taken, above what can be sent, or refused for want of room: an answer in any case.
    assert replies <= {"250 2.0.0", "552 5.3.4", "452 4.3.1", "451 4.3.0"}
    assert peak_memory(relay) <= MEMORY_BAR


@pytest.mark.parametrize("how", ["absent", "frozen"])
def test_a_broker_that_is_not_there_delays_no_reply_and_the_mail_stays_queued(installation, redis, how):
    url = {"absent": "redis://127.0.0.1:9/0", "frozen": redis.url}[how]
    relay = installation.relay(CELERY_BROKER_URL=url).start()
    # As long as a worker seems to be alive, mail is claimed and published.
    ahead = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
    installation.execute(
        "INSERT INTO mailrelay_worker (name, queues, capacity, started_at, seen_at) "
        "VALUES ('worker', 'deliver,deliver-environment', 8, %s, %s)",
        *(str(ahead), str(ahead)),
    )

    with frozen(redis) if how == "frozen" else nullcontext():
        ids = [queue_id_of(deliver(relay.smtp_port, sent(number))) for number in range(10)]
        eventually(lambda: relay.metrics()["graph_smtp_publish_failures_total"] >= 1, 60, "a publish")
        with ExitStack() as stack:
            talks = [stack.enter_context(hand_in(relay.smtp_port, sent(n))) for n in range(10, 20)]
            ids += [queue_id_of(talk.reply()) for talk in talks]

    metrics = relay.metrics()
    assert metrics['graph_smtp_accept_seconds_bucket{le="5.0"}'] == len(ids)
    assert installation.queue_ids() == sorted(ids)
    relay.stop()
    states = {state for (state,) in installation.rows("SELECT state FROM mailrelay_delivery")}
    assert states <= {"queued", "reserved"}
