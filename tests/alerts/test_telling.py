"""People are told by the way that they chose, and no URL that they gave is ever seen again."""

import email
import socket
from datetime import timedelta
from email import policy
from ipaddress import ip_network

import pytest

from mailrelay.models import Alert, AlertChannel, AppRegistration, ContentChunk, Mailbox, Message, Worker
from mailrelay.notify import alerts, channels, episodes
from mailrelay.notify import webhook as posting
from mailrelay.notify.conditions import Finding
from mailrelay.vocabulary import Channel, Condition, Reason, Report
from tests.console.rows import make_registration, make_sender

pytestmark = pytest.mark.django_db(transaction=True)
SUBJECT = "Sender <office> & [co](http://x) stands still"


@pytest.fixture
def held(now):
    """Something that has been the matter for a while."""
    row = Finding("held:1", Condition.HELD, SUBJECT, "The secret *ended* <https://evil.test|here>.")
    episodes.enter([row], now - timedelta(minutes=2))
    Alert.objects.update(seen_at=now)


def tell(channel, now) -> bool:
    return channels.tell(channel, episodes.changes(channel, now), (), now)


def test_a_webhook_gets_a_document(webhook, channel, held, now):
    assert tell(channel(url=webhook.url), now)
    (document,) = webhook.told
    assert (document["event"], document["text"]) == ("alert", f"New: {SUBJECT}")
    (matter,) = document["matters"]
    assert (matter["what"], matter["condition"], matter["until"]) == ("new", "held", None)


def test_slack_gets_blocks_in_which_nothing_is_markup(webhook, channel, held, now):
    assert tell(channel(Channel.SLACK, url=webhook.url), now)
    (document,) = webhook.told
    (block,) = document["blocks"]
    assert block["text"]["type"] == "mrkdwn"
    assert "&lt;office&gt; &amp; " in block["text"]["text"]
    assert "<https" not in block["text"]["text"]
    assert "&lt;office&gt;" in document["text"]


def test_teams_gets_an_adaptive_card(webhook, channel, held, now):
    assert tell(channel(Channel.TEAMS, url=webhook.url), now)
    (document,) = webhook.told
    (attachment,) = document["attachments"]
    assert document["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    texts = [block["text"] for block in card["body"]]
    assert any(text.startswith("New: Sender <office>") for text in texts)
    assert not any("](" in text for text in texts)


def test_many_matters_are_one_message_that_every_reader_takes(webhook, channel, now):
    rows = [Finding(f"expiry:{n}", Condition.EXPIRY, f"Secret {n}", "Ends.") for n in range(60)]
    episodes.enter(rows, now)
    for kind in (Channel.WEBHOOK, Channel.SLACK, Channel.TEAMS):
        assert tell(channel(kind, url=webhook.url), now)
    generic, slack, teams = webhook.told
    assert len(generic["matters"]) == 60
    assert len(slack["blocks"]) <= 50
    assert "and 40 more" in str(teams)


def test_a_refusal_is_kept_without_the_url_and_tried_again_later(webhook, channel, held, now, caplog):
    webhook.status = 500
    row = channel(url=webhook.url)
    assert not tell(row, now)
    row.refresh_from_db()
    assert (row.failures, row.last_error) == (1, "HTTP 500")
    assert row.next_at > now
    assert "s3cret" not in caplog.text + row.last_error
    webhook.status = 202
    assert tell(row, now)
    row.refresh_from_db()
    assert (row.failures, row.last_error) == (0, "")
    assert not episodes.changes(row, now)


def test_a_url_that_no_key_opens_keeps_no_other_channel_from_being_told(
    webhook, channel, held, sender, now, settings
):
    keys = settings.FIELD_ENCRYPTION_KEYS
    settings.FIELD_ENCRYPTION_KEYS = ["bmV3LWtleS1mb3ItdGVzdHMtb25seS0wMDAwMDAwMDA="]
    lost = channel(url=webhook.url, name="lost")
    settings.FIELD_ENCRYPTION_KEYS = keys
    channel(url=webhook.url, name="kept")
    alerts.look()
    lost = AlertChannel.objects.defer("url").get(pk=lost.pk)
    assert "enter it again" in lost.last_error
    assert len(webhook.told) == 1


def test_a_redirect_is_not_followed(webhook, channel, held, now):
    webhook.status, webhook.location = 307, webhook.url
    row = channel(url=webhook.url)
    assert not tell(row, now)
    row.refresh_from_db()
    assert (row.last_error, webhook.asked) == ("HTTP 307", 1)


def test_the_url_is_encrypted_in_its_column(webhook, channel):
    from django.db import connection

    channel(url=webhook.url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT url FROM mailrelay_alertchannel")
        assert "s3cret" not in cursor.fetchone()[0]


@pytest.mark.parametrize(
    ("url", "networks", "says"),
    [
        ("https://127.0.0.1/x", "", "does not list"),
        ("https://localhost/x", "", "does not list"),
        ("https://169.254.169.254/latest", "10.0.0.0/8", "does not list"),
        ("https://[::1]/x", "127.0.0.0/8", "does not list"),
        ("https://[::ffff:127.0.0.1]/x", "", "does not list"),
        ("https://[64:ff9b::10.0.0.5]/x", "", "does not list"),
        ("https://[2002:a9fe:a9fe::1]/x", "", "does not list"),
        ("http://192.0.2.1/x", "", "http goes to"),
        ("http://1.1.1.1/x", "127.0.0.0/8", "does not list"),
        ("ftp://example.org/x", "", "begins with https"),
        ("https://name:word@example.org/x", "", "name or a password"),
        ("https://example.org:x/", "", "not a URL"),
        ("https://no-such-host.invalid/x", "", "not known"),
    ],
)
def test_a_url_that_leads_inside_is_not_asked(settings, monkeypatch, url, networks, says):
    monkeypatch.setattr(posting, "graph_clients", lambda: pytest.fail("it was asked"))
    settings.ALERT_WEBHOOK_NETWORKS = tuple(ip_network(word) for word in networks.split())
    assert says in posting.post(url, {}, "key")


def test_a_name_that_leads_inside_only_when_it_is_connected_to_is_told_nothing(settings, monkeypatch):
    asked, resolve = [], socket.getaddrinfo

    def answers(host, *rest, **options):
        asked.append(host)
        return resolve("1.1.1.1" if len(asked) == 1 else "127.0.0.1", *rest, **options)

    settings.ALERT_WEBHOOK_NETWORKS = ()
    monkeypatch.setattr(socket, "getaddrinfo", answers)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert "may not go to" in posting.post(f"https://rebinding.test:{port}/x", {}, "key")
        peer, _ = server.accept()
        with peer:
            assert peer.recv(1) == b""
    assert asked == ["rebinding.test"] * 2


def mail() -> tuple[Message, email.message.EmailMessage]:
    (row,) = Message.objects.filter(report=Report.ALERT)
    data = b"".join(bytes(chunk.data) for chunk in ContentChunk.objects.filter(content=row.pk))
    return row, email.message_from_bytes(data, policy=policy.default)


def test_a_mail_goes_through_a_sender_that_is_in_no_trouble(channel, held, sender, now):
    other = make_sender(make_registration("fabrikam"), "other", "other@fabrikam.test")
    Mailbox.objects.filter(pk=sender.mailbox_id).update(blocked=Reason.MAILBOX_UNKNOWN)
    row = channel(Channel.EMAIL, address="ops@example.org")
    assert tell(row, now)
    message, text = mail()
    assert (message.sender_id, message.report_of) == (other.pk, None)
    assert (text["To"], text["X-Auto-Response-Suppress"]) == ("ops@example.org", "All")
    assert SUBJECT in text["Subject"]
    assert "The secret *ended*" in text.get_content()
    assert message.deliveries.get().state == "queued"
    assert not episodes.changes(row, now)


def test_a_sender_whose_secret_ends_is_spared_where_another_works(channel, held, sender, now):
    other = make_sender(make_registration("fabrikam"), "other", "other@fabrikam.test")
    row = channel(Channel.EMAIL, address="ops@example.org")
    channels.tell(row, episodes.changes(row, now), [sender.pk], now)
    assert mail()[0].sender_id == other.pk


def test_a_mail_without_an_address_goes_to_operations(channel, held, sender, now, settings):
    settings.OPERATIONS_ADDRESS = "operations@example.org"
    assert tell(channel(Channel.EMAIL), now)
    assert mail()[1]["To"] == "operations@example.org"


def test_a_mail_to_nobody_is_an_error_that_says_what_to_do(channel, held, sender, now, settings):
    settings.OPERATIONS_ADDRESS = ""
    row = channel(Channel.EMAIL)
    assert not tell(row, now)
    row.refresh_from_db()
    assert "OPERATIONS_ADDRESS" in row.last_error


def test_one_look_tells_what_is_the_matter_and_the_next_says_nothing(webhook, channel, sender, now):
    Worker.objects.create(name="one", queues="deliver", capacity=4, started_at=now, seen_at=now)
    AppRegistration.objects.update(secret_expires_on=(now + timedelta(days=5)).date())
    channel(url=webhook.url)
    alerts.look()
    alerts.look()
    assert [document["text"] for document in webhook.told] == ["New: The secret of contoso ends in 4 days"]


def test_what_happens_within_a_digest_is_told_at_its_end(webhook, channel, held, sender, now):
    row = channel(url=webhook.url, digest_minutes=10)
    Worker.objects.create(name="one", queues="deliver", capacity=4, started_at=now, seen_at=now)
    alerts.look()
    AppRegistration.objects.update(secret_expires_on=(now + timedelta(days=5)).date())
    alerts.look()
    assert len(webhook.told) == 1
    AlertChannel.objects.filter(pk=row.pk).update(next_at=now)
    alerts.look()
    assert len(webhook.told) == 2
