"""One process looks at a time, and another takes over from one that is gone."""

from datetime import timedelta

import pytest

from mailrelay.models import Lease
from mailrelay.notify import leader
from tests.harness.ports import eventually
from tests.harness.processes import manage, send

CHANNEL = """
from mailrelay.models import AlertChannel
AlertChannel.objects.create(
    name="hook", kind="webhook", url={url!r}, conditions="backlog", digest_minutes=0
)
"""


@pytest.mark.django_db(transaction=True)
def test_one_of_two_holds_it_until_its_time_is_over(now):
    assert leader.take("alerts", "one", 30)
    assert not leader.take("alerts", "two", 30)
    assert leader.take("alerts", "one", 30)
    Lease.objects.update(until=now - timedelta(seconds=1))
    assert leader.take("alerts", "two", 30)
    assert not leader.take("alerts", "one", 30)
    leader.give_back("alerts", "two")
    assert leader.take("alerts", "one", 30)


@pytest.mark.django_db(transaction=True)
def test_who_is_patient_takes_what_nobody_wants(now):
    assert not leader.take("alerts", "relay", 30, patience=20)
    assert leader.take("alerts", "worker", 30)
    Lease.objects.update(until=now - timedelta(seconds=10))
    assert not leader.take("alerts", "relay", 30, patience=20)
    Lease.objects.update(until=now - timedelta(seconds=30))
    assert leader.take("alerts", "relay", 30, patience=20)


@pytest.mark.services
def test_a_relay_tells_when_nobody_delivers(on_redis, webhook):
    """The relay has to import, resolve and post by itself: no worker is there to do it."""
    on_redis.environment |= {"ALERT_BACKLOG_SECONDS": "1", "ALERT_WEBHOOK_NETWORKS": "127.0.0.0/8"}
    on_redis.migrate()
    manage(on_redis.environment, "shell", "-v", "0", "-c", CHANNEL.format(url=webhook.url))
    relay = on_redis.listener().start()
    send(relay.smtp_port, b"From: app@contoso.test\r\n\r\nwaits\r\n")
    eventually(lambda: webhook.told, 90, "the webhook being told")
    assert webhook.told[0]["matters"][0]["key"] == "backlog"
    assert "s3cret" not in relay.output()
