"""The whole way: a sender's secret is wrong, and another sender carries the news to operations."""

from email import message_from_bytes, policy

from tests.harness.ports import eventually
from tests.harness.processes import manage, send

ROWS = """
from mailrelay.models import AlertChannel, AppRegistration, Mailbox, SenderConfig
app = AppRegistration.objects.create(
    name="fabrikam", tenant_id="44444444-4444-4444-4444-444444444444",
    client_id="55555555-5555-5555-5555-555555555555", secret="wrong",
    authority_host={url!r}, graph_endpoint={url!r},
)
box = Mailbox.objects.create(registration=app, address="gateway@fabrikam.test")
SenderConfig.objects.create(name="fabrikam", mailbox=box, domains="fabrikam.test")
AlertChannel.objects.create(name="operations", kind="email", conditions="held", digest_minutes=0)
"""


def test_a_held_sender_is_told_of_through_another(embedded):
    embedded.environment |= {"OPERATIONS_ADDRESS": "operations@example.org"}
    manage(embedded.environment, "migrate", "--verbosity", "0")
    manage(embedded.environment, "shell", "-v", "0", "-c", ROWS.format(url=embedded.sandbox.base_url))
    gateway = embedded.start()
    send(gateway.smtp_port, b"From: app@fabrikam.test\r\n\r\nwaits\r\n", mail_from="app@fabrikam.test")
    eventually(embedded.delivered, 110, "the news of the held sender")
    (mail,) = embedded.delivered()
    changes = message_from_bytes(embedded.sandbox.raw(mail["seq"]), policy=policy.default)
    assert (mail["to"], changes["From"].addresses[0].addr_spec) == (
        ["operations@example.org"],
        "gateway@contoso.test",
    )
    assert "Sender fabrikam stands still" in changes["Subject"]
    assert "AADSTS7000215" in changes.get_content() or "secret" in changes.get_content()
    assert "wrong" not in changes.get_content().split()
