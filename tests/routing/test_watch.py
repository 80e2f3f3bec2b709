"""The configuration in memory: one row that cannot be read takes no other with it, and the thread goes on."""

import smtplib

import pytest
from django.db import DatabaseError

from mailrelay.diagnosis import setup
from mailrelay.diagnosis.findings import Level
from mailrelay.health import readiness
from mailrelay.models import ClientDefaults, SenderConfig, SmtpClient
from mailrelay.routing import loading, watch
from mailrelay.routing.watch import ConfigurationWatch
from tests.harness.ports import eventually
from tests.harness.processes import Relay, base_environment, mail, manage, send
from tests.harness.processes import rows as query
from tests.outbox import rows

pytestmark = pytest.mark.django_db(transaction=True)
NEWER = "from_policy is “newer”, which this version does not know"


@pytest.fixture
def configuration(monkeypatch):
    monkeypatch.setattr(ConfigurationWatch, "interval", 0.05)
    made = ConfigurationWatch()
    yield made
    made.stop()


def test_a_sender_of_another_version_is_named_and_the_rest_is_read(configuration, caplog):
    rows.sender(rows.mailbox("relay@contoso.test"), addresses="a@contoso.test", from_policy="newer")
    SmtpClient.objects.create(name="Printer", login="printer")

    eventually(lambda: configuration().client_of_login("printer"))

    (sender,) = configuration().senders
    assert sender.unreadable == NEWER and sender.serves("a@contoso.test")
    assert configuration().unreadable == (
        f"Sender {sender.name} cannot be read: {NEWER}. Its mail gets 451.",
    )
    eventually(lambda: NEWER in caplog.text)
    (finding,) = setup.rows()
    assert finding.level is Level.PROBLEM and NEWER in str(finding)
    SenderConfig.objects.update(from_policy="rewrite")
    eventually(lambda: not configuration().unreadable)
    eventually(lambda: "This is over: Sender" in caplog.text)
    assert caplog.text.count(NEWER) == 2


@pytest.mark.parametrize(
    "change",
    [{"large_mail": "newer"}, {"invitations": "newer"}, {"large_text": ""}, {"from_policy": ""}],
)
def test_each_word_of_a_sender_is_looked_at(change):
    rows.sender(rows.mailbox("relay@contoso.test"), **change)

    assert next(iter(change)) in loading.load().senders[0].unreadable


@pytest.mark.parametrize("change", [{"urgency": 77}, {"aliases": ["root"]}, {"aliases": "root"}])
def test_each_value_of_a_client_is_looked_at(change):
    SmtpClient.objects.create(name="Printer", networks="192.0.2.7/32", **change)

    assert next(iter(change)) in loading.load().clients[0].unreadable


def test_rules_for_all_that_cannot_be_read_leave_the_settings_in_force():
    ClientDefaults.objects.create(aliases=["root"], default_domain="example.org")

    found = loading.load()

    assert found.defaults.default_domain == ""
    (said,) = found.unreadable
    assert said.startswith("The row for all SMTP clients cannot be read: aliases are no map from names to")
    assert said.endswith("The settings hold instead.")


@pytest.mark.parametrize("error", [DatabaseError("gone"), RuntimeError("a fault of ours"), KeyError("x")])
def test_the_thread_goes_on_after_any_error_and_readiness_tells_its_age(configuration, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(readiness, "CONFIGURATION_AGE", 0.5)
    with monkeypatch.context() as patched:
        patched.setattr(watch, "load", fail)
        eventually(lambda: "were read" in readiness.configuration())
    SmtpClient.objects.create(name="Printer", login="printer")

    eventually(lambda: configuration().client_of_login("printer"))
    eventually(lambda: readiness.configuration() == "ok")


ADD = """
from mailrelay.models import *
from mailrelay.routing import passwords
SmtpClient.objects.create(name="p", login="p", password_hash=passwords.make("secret-of-p"))
box = SenderConfig.objects.get().mailbox
SenderConfig.objects.create(name="hr", mailbox=box, addresses="hr@contoso.test", from_policy="newer")
"""
REVOKE = "from mailrelay.models import *; SmtpClient.objects.update(password_hash='')"


def test_a_running_relay_refuses_a_revoked_password_beside_a_row_of_another_version(tmp_path, sandbox):
    """Mail of the row itself waits at its client, and goes by no other sender."""
    environment = base_environment(tmp_path, sandbox, CELERY_BROKER_URL="redis://127.0.0.1:9/0")
    manage(environment, "migrate", "--verbosity", "0")
    relay = Relay(environment)
    relay.environment["SMTP_LISTENERS"] += "?cleartext_auth=on"
    with relay:
        manage(environment, "shell", "-c", ADD)
        eventually(lambda: relay.metrics()["graph_smtp_configuration_unreadable_rows"] == 1)
        eventually(lambda: logs_in(relay))
        send(relay.smtp_port, mail(1, From="app@contoso.test"))
        with pytest.raises(smtplib.SMTPDataError) as refused:
            send(relay.smtp_port, mail(2, From="hr@contoso.test"))
        assert refused.value.smtp_code == 451 and b"does not know" in refused.value.smtp_error
        manage(environment, "shell", "-c", REVOKE)
        eventually(lambda: not logs_in(relay))
        assert relay.metrics()["graph_smtp_configuration_age_seconds"] < readiness.CONFIGURATION_AGE
    assert query(environment, "SELECT COUNT(*) FROM mailrelay_message") == [(1,)]


def logs_in(relay) -> bool:
    with smtplib.SMTP("127.0.0.1", relay.smtp_port, timeout=10) as client:
        try:
            return client.login("p", "secret-of-p")[0] == 235
        except smtplib.SMTPException:
            return False
