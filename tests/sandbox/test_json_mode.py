"""sendMail with JSON, and what it teaches the mailbox."""

import base64
import email
import email.policy

import pytest

from tests.sandbox.graph_client import error, json_mail, mail


def test_it_builds_the_mail_from_its_properties(graph, sandbox):
    attachment = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "Menü.txt",
        "contentType": "text/plain",
        "contentBytes": base64.b64encode(b"soup").decode(),
    }
    response = graph.send_json(
        json_mail(
            subject="Grüße",
            body={"contentType": "HTML", "content": "<p>hello</p>"},
            bccRecipients=[{"emailAddress": {"address": "bob@example.org", "name": "Bob"}}],
            replyTo=[{"emailAddress": {"address": "desk@example.org"}}],
            attachments=[attachment],
        )
    )
    assert (response.status_code, response.content) == (202, b"")
    (delivery,) = sandbox.deliveries()
    assert (delivery["route"], delivery["subject"]) == ("json", "Grüße")
    assert (delivery["to"], delivery["bcc"]) == (["ann@example.org"], ["bob@example.org"])
    copy = email.message_from_bytes(sandbox.delivered(delivery["seq"]), policy=email.policy.default)
    assert copy["Reply-To"] == "desk@example.org"
    assert copy["Bcc"] is None
    assert copy.get_body().get_content().strip() == "<p>hello</p>"
    (file,) = copy.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("Menü.txt", "soup")


def test_a_header_that_is_not_an_x_header_fails_the_whole_send(graph, sandbox):
    response = graph.send_json(json_mail(internetMessageHeaders=[{"name": "List-Id", "value": "x"}]))
    assert error(response) == (400, "InvalidInternetMessageHeader")
    assert "'List-Id' should start with 'x-' or 'X-'." in response.json()["error"]["message"]
    assert sandbox.deliveries() == []


@pytest.mark.parametrize("count", [0, 6])
def test_none_or_more_than_five_headers_are_refused(graph, count):
    headers = [{"name": f"X-H{n}", "value": "v"} for n in range(count)]
    response = graph.send_json(json_mail(internetMessageHeaders=headers))
    assert response.status_code == 400
    assert "less or equal to 5" in response.json()["error"]["message"]


def test_five_headers_pass(graph, sandbox):
    headers = [{"name": f"X-H{n}", "value": "v"} for n in range(5)]
    assert graph.send_json(json_mail(internetMessageHeaders=headers)).status_code == 202
    assert b"X-H4: v" in sandbox.delivered(sandbox.deliveries()[0]["seq"])


def test_a_header_name_sent_by_json_survives_in_mime_from_then_on(graph, sandbox):
    graph.send(mail("X-Job: before"))
    graph.send_json(json_mail(internetMessageHeaders=[{"name": "x-job", "value": "json"}]))
    graph.send(mail("X-Job: after", "X-Other: never"))
    first, _, last = (sandbox.delivered(delivery["seq"]) for delivery in sandbox.deliveries())
    assert b"X-Job" not in first
    assert b"X-Job: after" in last
    assert b"X-Other" not in last


@pytest.mark.parametrize("body", [{}, {"message": {}}, {"message": None}])
def test_an_empty_message_is_an_invalid_parameter(graph, body):
    response = graph.call("POST", "/users/gateway@contoso.test/sendMail", json=body)
    assert error(response) == (400, "ErrorInvalidParameter")


def test_broken_json_is_a_request_body_read_error(graph):
    headers = {"Content-Type": "application/json"}
    response = graph.send(data=b'{"message":', headers=headers)
    assert error(response) == (400, "RequestBodyRead")


@pytest.mark.parametrize("value", [False, "false"])
def test_save_to_sent_items_false_leaves_no_copy(writer, value):
    message = json_mail(internetMessageId="<quiet@contoso.test>")
    writer.send_json(message, saveToSentItems=value)
    writer.send_json(json_mail(internetMessageId="<kept@contoso.test>"))
    found = writer.call("GET", "/users/gateway@contoso.test/mailFolders/sentitems/messages").json()["value"]
    assert [item["internetMessageId"] for item in found] == ["<kept@contoso.test>"]
