"""What reaches the recipient of a MIME submission."""

import pytest

from tests.sandbox.graph_client import error, mail


def header(sandbox):
    copy = sandbox.delivered(sandbox.deliveries()[-1]["seq"])
    return copy.partition(b"\r\n\r\n")[0].decode()


def test_the_blind_recipient_is_not_in_the_copy(graph, sandbox):
    graph.send(mail("Bcc: blind@example.org,\r\n other@example.org"))
    copy = sandbox.delivered(sandbox.deliveries()[0]["seq"])
    assert b"blind@" not in copy
    assert b"other@" not in copy


@pytest.mark.parametrize(
    "field",
    ["Auto-Submitted: auto-generated", "List-Id: <l.example>", "Precedence: bulk", "X-Custom: 1",
     "DKIM-Signature: v=1"],
)  # fmt: skip
def test_fields_that_exchange_drops_are_dropped(graph, sandbox, field):
    graph.send(mail(field))
    assert field not in header(sandbox)


@pytest.mark.parametrize(
    "field",
    ["In-Reply-To: <a@b>", "References: <a@b>\r\n <c@d>", "Reply-To: x@example.org", "MIME-Version: 1.0",
     "Content-Type: text/plain; charset=utf-8", "X-Auto-Response-Suppress: All", "Importance: high"],
)  # fmt: skip
def test_fields_that_are_properties_of_a_message_survive(graph, sandbox, field):
    graph.send(mail(field))
    assert field in header(sandbox)


def test_the_return_path_is_replaced_by_the_sender(graph, sandbox):
    graph.send(mail("Return-Path: <bounces@elsewhere.test>"))
    assert "Return-Path: <gateway@contoso.test>" in header(sandbox)
    assert "elsewhere" not in header(sandbox)


def test_unknown_fields_survive_when_the_switch_says_so(graph, sandbox):
    sandbox.world(behaviour={"keep_unknown_headers": True})
    graph.send(mail("X-Custom: 1", "Auto-Submitted: auto-generated", "Bcc: blind@example.org"))
    assert "X-Custom: 1" in header(sandbox)
    assert "Auto-Submitted" not in header(sandbox)
    assert "blind@" not in header(sandbox)


def test_an_alias_in_from_becomes_the_primary_address(graph, sandbox):
    graph.send(mail(sender="Invoices <invoices@contoso.test>"), mailbox="billing@contoso.test")
    assert "From: Invoices <billing@contoso.test>" in header(sandbox)
    assert sandbox.deliveries()[0]["from"] == "billing@contoso.test"


def test_a_missing_from_becomes_the_mailbox(graph, sandbox):
    graph.send(mail(sender=""))
    assert "From: gateway@contoso.test" in header(sandbox)


def test_a_foreign_from_is_refused(graph, sandbox):
    for sender in ("ceo@contoso.test", "someone@example.org", "shared@contoso.test"):
        response = graph.send(mail(sender=sender))
        assert error(response) == (403, "ErrorSendAsDenied")
    assert sandbox.deliveries() == []


def test_a_from_with_the_send_as_right_is_left(graph, sandbox):
    graph.send(mail(sender="shared@contoso.test"), mailbox="delegate@contoso.test")
    assert "From: shared@contoso.test" in header(sandbox)


def test_the_message_id_survives_by_default(graph, sandbox):
    graph.send(mail("Message-ID: <mine@contoso.test>"))
    assert "Message-ID: <mine@contoso.test>" in header(sandbox)


def test_the_message_id_is_rewritten_when_the_switch_says_so(writer, sandbox):
    sandbox.world(behaviour={"rewrite_message_id": True})
    writer.send(mail("Message-ID: <mine@contoso.test>"))
    (delivery,) = sandbox.deliveries()
    assert delivery["internet_message_id"] == "<mine@contoso.test>"
    assert delivery["assigned_message_id"] != "<mine@contoso.test>"
    assert f"Message-ID: {delivery['assigned_message_id']}" in header(sandbox)
    path = "/users/gateway@contoso.test/mailFolders/sentitems/messages?$filter=internetMessageId eq '{}'"
    assert writer.call("GET", path.format("<mine@contoso.test>")).json()["value"] == []
    assert len(writer.call("GET", path.format(delivery["assigned_message_id"])).json()["value"]) == 1


def test_the_body_is_delivered_byte_for_byte(graph, sandbox):
    body = "=C3=BC soft=\r\n3D break\r\n" + "\r\n".join(f"line {n}" for n in range(100))
    graph.send(mail("Content-Transfer-Encoding: quoted-printable", body=body))
    copy = sandbox.delivered(sandbox.deliveries()[0]["seq"])
    assert copy.partition(b"\r\n\r\n")[2] == body.encode()
