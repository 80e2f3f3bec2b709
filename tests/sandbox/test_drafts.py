"""Drafts from JSON and from MIME: made, changed, sent, found again."""

import base64
import email
import email.policy

import pytest

from tests.sandbox.graph_client import GATEWAY, error, json_mail, mail

DRAFTS = f"/users/{GATEWAY}/messages"
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}


def make(writer, mime=None, **headers):
    if mime is None:
        return writer.call("POST", DRAFTS, json=json_mail(), headers=headers)
    headers = {"Content-Type": "text/plain", **headers}
    return writer.call("POST", DRAFTS, data=base64.b64encode(mime), headers=headers)


def send(writer, draft):
    return writer.call("POST", f"{DRAFTS}/{draft}/send", headers={"Content-Length": "0"})


def read_copy(sandbox):
    copy = sandbox.delivered(sandbox.deliveries()[-1]["seq"])
    return email.message_from_bytes(copy, policy=email.policy.default)


def test_a_draft_from_mime_is_sent_as_it_was(writer, sandbox):
    mime = mail("Message-ID: <m@contoso.test>", "Bcc: bob@example.org", "MIME-Version: 1.0", body="hello\r\n")
    response = make(writer, mime)
    draft = response.json()
    assert response.status_code == 201
    assert (draft["isDraft"], draft["internetMessageId"]) == (True, "<m@contoso.test>")
    answer = send(writer, draft["id"])
    assert (answer.status_code, answer.content) == (202, b"")
    (delivery,) = sandbox.deliveries()
    assert delivery["route"] == "draft"
    assert delivery["recipients"] == ["ann@example.org", "bob@example.org"]
    assert sandbox.raw(delivery["seq"]) == mime


def test_a_draft_from_json_is_sent(writer, sandbox):
    draft = make(writer).json()
    assert send(writer, draft["id"]).status_code == 202
    assert sandbox.deliveries()[0]["internet_message_id"] == draft["internetMessageId"]


def test_a_small_file_can_be_attached_to_either(writer, sandbox):
    for mime in (
        None,
        mail("MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", body="hello\r\n"),
    ):
        draft = make(writer, mime).json()["id"]
        file = {
            "@odata.type": "#microsoft.graph.fileAttachment",
            "name": "Menü.bin",
            "contentBytes": base64.b64encode(bytes(range(256))).decode(),
        }
        assert writer.call("POST", f"{DRAFTS}/{draft}/attachments", json=file).status_code == 201
        listed = writer.call("GET", f"{DRAFTS}/{draft}/attachments").json()["value"]
        assert [(item["name"], item["size"]) for item in listed] == [("Menü.bin", 256)]
        send(writer, draft)
        copy = read_copy(sandbox)
        assert copy.get_body().get_content().strip() == "hello"
        (part,) = copy.iter_attachments()
        assert (part.get_filename(), part.get_content()) == ("Menü.bin", bytes(range(256)))


def test_files_join_the_multipart_that_a_mime_draft_already_is(writer, sandbox):
    body = (
        "--b1\r\nContent-Type: multipart/alternative; boundary=b2\r\n\r\n"
        "--b2\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
        "--b2\r\nContent-Type: text/html\r\n\r\n<b>html</b>\r\n"
        "--b2--\r\n--b1--\r\n"
    )
    draft = make(
        writer, mail("MIME-Version: 1.0", "Content-Type: multipart/mixed;\r\n boundary=b1", body=body)
    )
    identifier = draft.json()["id"]
    for name in ("one", "two"):
        file = {"name": name, "contentBytes": base64.b64encode(name.encode() * 100).decode()}
        writer.call("POST", f"{DRAFTS}/{identifier}/attachments", json=file)
    send(writer, identifier)
    copy = read_copy(sandbox)
    assert [part.get_content_type() for part in copy.iter_parts()] == [
        "multipart/alternative",
        "application/octet-stream",
        "application/octet-stream",
    ]
    assert copy.get_body(("html",)).get_content().strip() == "<b>html</b>"
    assert [part.get_content() for part in copy.iter_attachments()] == [b"one" * 100, b"two" * 100]


def test_an_inline_file_is_related_to_the_body(writer, sandbox):
    mime = mail("MIME-Version: 1.0", "Content-Type: text/html", body='<img src="cid:logo">\r\n')
    draft = make(writer, mime).json()["id"]
    file = {"name": "l.png", "contentType": "image/png", "contentBytes": "iVBORw==", "isInline": True}
    writer.call("POST", f"{DRAFTS}/{draft}/attachments", json={**file, "contentId": "logo"})
    send(writer, draft)
    copy = read_copy(sandbox)
    assert copy.get_content_type() == "multipart/related"
    assert [part["Content-ID"] for part in copy.iter_parts()] == [None, "<logo>"]


def test_from_and_recipients_can_be_changed(writer, sandbox):
    draft = writer.call(
        "POST",
        "/users/delegate@contoso.test/messages",
        data=base64.b64encode(mail(sender="delegate@contoso.test")),
        headers={"Content-Type": "text/plain"},
    ).json()["id"]
    path = f"/users/delegate@contoso.test/messages/{draft}"
    change = {
        "from": {"emailAddress": {"address": "shared@contoso.test", "name": "Shared"}},
        "toRecipients": [{"emailAddress": {"address": "bob@example.org"}}],
    }
    assert writer.call("PATCH", path, json=change).status_code == 200
    assert writer.call("POST", f"{path}/send").status_code == 202
    (delivery,) = sandbox.deliveries()
    assert (delivery["from"], delivery["recipients"]) == ("shared@contoso.test", ["bob@example.org"])


def test_an_unknown_property_is_refused(writer):
    assert error(writer.call("POST", DRAFTS, json=json_mail(colour="red"))) == (400, "RequestBodyRead")


def test_an_immutable_id_tells_sent_from_unsent(writer):
    draft = make(writer, mail(), **IMMUTABLE).json()["id"]
    path = f"{DRAFTS}/{draft}?$select=isDraft"
    assert writer.call("GET", path, headers=IMMUTABLE).json()["isDraft"] is True
    send(writer, draft)
    assert writer.call("GET", path, headers=IMMUTABLE).json()["isDraft"] is False


def test_a_mutable_id_is_gone_after_sending(writer):
    draft = make(writer, mail()).json()["id"]
    send(writer, draft)
    assert error(writer.call("GET", f"{DRAFTS}/{draft}")) == (404, "ErrorItemNotFound")
    assert error(send(writer, draft)) == (404, "ErrorItemNotFound")


def test_a_sent_message_is_not_found_while_it_is_on_its_way(writer, sandbox):
    sandbox.world(behaviour={"sent_items_delay": 3600})
    draft = make(writer, mail(), **IMMUTABLE).json()["id"]
    send(writer, draft)
    assert error(writer.call("GET", f"{DRAFTS}/{draft}", headers=IMMUTABLE)) == (404, "ErrorItemNotFound")


def test_a_draft_cannot_be_sent_twice(writer, sandbox):
    draft = make(writer, mail(), **IMMUTABLE).json()["id"]
    sandbox.fault("send", "accept_then_status", status=504)
    assert [send(writer, draft).status_code for _ in range(2)] == [504, 400]
    assert len(sandbox.deliveries()) == 1


def test_a_deleted_draft_is_gone(writer, sandbox):
    draft = make(writer, mail()).json()["id"]
    assert sandbox.stats()["drafts"] == 1
    assert writer.call("DELETE", f"{DRAFTS}/{draft}").status_code == 204
    assert error(writer.call("GET", f"{DRAFTS}/{draft}")) == (404, "ErrorItemNotFound")
    assert sandbox.stats()["drafts"] == 0


def test_a_draft_is_found_in_its_folder_by_its_message_id_until_it_is_sent(writer):
    draft = make(writer, mail("Message-ID: <m@contoso.test>"), **IMMUTABLE).json()
    make(writer, mail("Message-ID: <other@contoso.test>"))
    folder = f"/users/{GATEWAY}/mailFolders/drafts/messages"
    query = {"$filter": "internetMessageId eq '<m@contoso.test>'", "$select": "id,createdDateTime"}

    (found,) = writer.call("GET", folder, params=query, headers=IMMUTABLE).json()["value"]
    assert found == {"id": draft["id"], "createdDateTime": draft["createdDateTime"]}
    send(writer, draft["id"])

    assert writer.call("GET", folder, params=query, headers=IMMUTABLE).json()["value"] == []


def test_a_draft_of_one_mailbox_is_not_found_in_another(writer):
    draft = make(writer, mail()).json()["id"]
    response = writer.call("GET", f"/users/shared@contoso.test/messages/{draft}")
    assert error(response) == (404, "ErrorItemNotFound")


def test_a_draft_without_recipients_is_refused_when_it_is_sent(writer):
    draft = make(writer, mail(to="")).json()["id"]
    assert error(send(writer, draft)) == (400, "ErrorInvalidRecipients")


@pytest.mark.parametrize("on", [True, False])
def test_mime_drafts_can_be_switched_off(writer, sandbox, on):
    sandbox.world(behaviour={"mime_drafts": on})
    assert make(writer, mail()).status_code == (201 if on else 400)
    assert make(writer).status_code == 201
