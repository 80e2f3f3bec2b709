"""What Exchange does with mail that Graph has accepted: always 202, the rest comes later."""

import pytest

from tests.sandbox.graph_client import GATEWAY, mail

PER_MINUTE = 30


def test_more_than_thirty_a_minute_are_delayed_not_refused(graph, sandbox):
    answers = {graph.send().status_code for _ in range(2 * PER_MINUTE + 1)}
    delays = [delivery["delayed_seconds"] for delivery in sandbox.deliveries()]
    assert answers == {202}
    assert max(delays[:PER_MINUTE]) == 0
    assert 0 < min(delays[PER_MINUTE : 2 * PER_MINUTE]) <= max(delays[PER_MINUTE : 2 * PER_MINUTE]) <= 60
    assert 60 < delays[-1] <= 120


def refused_later(graph, sandbox, mime, mailbox=GATEWAY):
    """The text of the report about `mime`, which must be accepted and reach nobody."""
    before = len(sandbox.deliveries())
    assert graph.send(mime, mailbox=mailbox).status_code == 202
    assert len(sandbox.deliveries()) == before
    return sandbox.inbox(mailbox)[0]["raw"]


def test_the_daily_recipients_of_a_mailbox_end_in_a_report(graph, sandbox):
    sandbox.world(limits={"recipients_per_day": 2})
    assert graph.send(mail("Cc: bob@example.org")).status_code == 202
    assert "5.1.90" in refused_later(graph, sandbox, mail())


def test_the_external_recipients_of_a_tenant_end_in_a_report(graph, sandbox):
    sandbox.world(limits={"external_recipients_per_day": 1})
    graph.send(mail())
    assert graph.send(mail(to="colleague@contoso.test")).status_code == 202
    assert "5.7.233" in refused_later(graph, sandbox, mail())


def test_an_onmicrosoft_sender_ends_in_a_report_sooner(graph, sandbox):
    sandbox.world(limits={"moera_recipients_per_day": 1})
    moera = "moera@contoso.onmicrosoft.com"
    graph.send(mail(sender=""), mailbox=moera)
    assert "5.7.236" in refused_later(graph, sandbox, mail(sender=""), moera)
    assert graph.send().status_code == 202


def test_too_many_recipients_end_in_a_report(graph, sandbox):
    people = ",\r\n ".join(f"p{n}@example.org" for n in range(501))
    assert "5.5.3" in refused_later(graph, sandbox, mail(to=people))


def test_an_unknown_recipient_gets_a_report_and_the_others_get_the_mail(graph, sandbox):
    graph.send(mail("Cc: ghost@undeliverable.test"))
    (delivery,) = sandbox.deliveries()
    assert delivery["undeliverable"] == ["ghost@undeliverable.test"]
    (report,) = sandbox.inbox(GATEWAY)
    assert report["subject"] == "Undeliverable: A subject"
    assert "ghost@undeliverable.test" in report["raw"]
    assert "ann@example.org" not in report["raw"]


def test_reports_can_be_read_through_graph(writer):
    writer.send(mail(to="ghost@undeliverable.test"))
    found = writer.call("GET", f"/users/{GATEWAY}/mailFolders/inbox/messages?$select=subject").json()["value"]
    assert [item["subject"] for item in found] == ["Undeliverable: A subject"]
    assert set(found[0]) == {"id", "subject"}


SENT = f"/users/{GATEWAY}/mailFolders/sentitems/messages?$select=id&$filter=internetMessageId eq '{{}}'"


def test_sent_items_can_be_searched_by_message_id(writer):
    writer.send(mail("Message-ID: <a'b@contoso.test>"))
    writer.send(mail("Message-ID: <other@contoso.test>"))
    assert len(writer.call("GET", SENT.format("<a''b@contoso.test>")).json()["value"]) == 1
    assert writer.call("GET", SENT.format("<c@contoso.test>")).json()["value"] == []


def test_the_copy_in_sent_items_can_be_late(writer, sandbox):
    sandbox.world(behaviour={"sent_items_delay": 3600})
    writer.send(mail("Message-ID: <late@contoso.test>"))
    assert writer.call("GET", SENT.format("<late@contoso.test>")).json()["value"] == []


@pytest.mark.parametrize("query", ["$filter=subject eq 'x'", "$filter=internetMessageId eq x"])
def test_other_filters_are_refused(writer, query):
    response = writer.call("GET", f"/users/{GATEWAY}/mailFolders/sentitems/messages?{query}")
    assert response.json()["error"]["code"] == "ErrorInvalidUrlQueryFilter"


def test_an_address_in_raw_8_bit_bytes_does_not_break_the_report(graph, sandbox):
    mime = b"From: gateway@contoso.test\r\nTo: j\xf6rg@undeliverable.test\r\nSubject: \xff\r\n\r\nx"
    assert graph.send(mime).status_code == 202
    assert len(sandbox.inbox(GATEWAY)) == 1
