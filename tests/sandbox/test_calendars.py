"""Invitations in MIME go to the people in their calendar, as public reports have it; a switch ends that."""

import base64

import pytest

from tests.sandbox.graph_client import GATEWAY, json_mail, mail

CALENDAR = (
    "BEGIN:VCALENDAR\r\nMETHOD:{method}\r\nBEGIN:VEVENT\r\nORGANIZER:mailto:boss@example.org\r\n"
    'ATTENDEE;CN="Eve: a":MAILTO:eve@exam\r\n ple.org\r\nATTENDEE:mailto:fay@example.org\r\nEND:VEVENT\r\n'
    "END:VCALENDAR\r\n"
)


def invitation(method="REQUEST", kind="text/calendar; method={method}", encode=False):
    text = CALENDAR.format(method=method)
    head = f"Content-Type: {kind.format(method=method)}\r\n"
    if encode:
        head += "Content-Transfer-Encoding: base64\r\n"
        text = base64.encodebytes(text.encode()).decode()
    body = f"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\n{head}\r\n{text}\r\n--b--\r\n"
    return mail("MIME-Version: 1.0", "Content-Type: multipart/alternative; boundary=b", body=body)


def recipients(sandbox):
    return [delivery["recipients"] for delivery in sandbox.deliveries()]


@pytest.mark.parametrize(
    ("method", "people"),
    [
        ("REQUEST", ["eve@example.org", "fay@example.org"]),
        ("CANCEL", ["eve@example.org", "fay@example.org"]),
        ("REPLY", ["boss@example.org"]),
        ("PUBLISH", ["ann@example.org"]),
    ],
)
@pytest.mark.parametrize("encode", [False, True])
def test_the_calendar_decides_who_gets_it(graph, sandbox, method, people, encode):
    assert graph.send(invitation(method, encode=encode)).status_code == 202
    assert recipients(sandbox) == [people]


def test_a_method_within_the_calendar_is_enough(graph, sandbox):
    graph.send(invitation(kind="text/calendar"))
    assert recipients(sandbox) == [["eve@example.org", "fay@example.org"]]


@pytest.mark.parametrize(
    "kind", ["application/ics", "application/octet-stream; name=invite.ics", "text/plain"]
)
def test_what_is_no_calendar_part_decides_nothing(graph, sandbox, kind):
    graph.send(invitation(kind=kind))
    assert recipients(sandbox) == [["ann@example.org"]]


def test_the_calendar_of_a_forwarded_message_decides_nothing(graph, sandbox):
    graph.send(mail("Content-Type: message/rfc822", body=invitation().decode()))
    assert recipients(sandbox) == [["ann@example.org"]]


def test_a_draft_from_mime_does_the_same_and_its_attachments_do_not(writer, sandbox):
    path = f"/users/{GATEWAY}/messages"
    file = {
        "name": "invite.ics",
        "contentType": "text/calendar; method=REQUEST",
        "contentBytes": base64.b64encode(CALENDAR.format(method="REQUEST").encode()).decode(),
    }
    plain = mail("MIME-Version: 1.0", "Content-Type: text/plain")
    for mime, files in ((invitation(), []), (plain, [file])):
        headers = {"Content-Type": "text/plain"}
        draft = writer.call("POST", path, data=base64.b64encode(mime), headers=headers).json()["id"]
        for attachment in files:
            writer.call("POST", f"{path}/{draft}/attachments", json=attachment)
        assert writer.call("POST", f"{path}/{draft}/send").status_code == 202
    assert recipients(sandbox) == [["eve@example.org", "fay@example.org"], ["ann@example.org"]]


def test_mail_made_of_json_goes_to_its_recipients(graph, sandbox):
    file = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "invite.ics",
        "contentType": "text/calendar; method=REQUEST",
        "contentBytes": base64.b64encode(CALENDAR.format(method="REQUEST").encode()).decode(),
    }
    assert graph.send_json(json_mail(attachments=[file])).status_code == 202
    assert recipients(sandbox) == [["ann@example.org"]]


def test_it_can_be_switched_off(graph, sandbox):
    sandbox.world(behaviour={"calendar_decides": False})
    graph.send(invitation())
    assert recipients(sandbox) == [["ann@example.org"]]
