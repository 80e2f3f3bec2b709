"""sendMail with MIME: what is accepted, what is refused, and in which words."""

import base64
import hashlib
import uuid

import pytest

from tests.sandbox.graph_client import GATEWAY, error, mail

TOO_LARGE = 4 * 1024 * 1024


def test_it_answers_202_with_an_empty_body_and_the_headers_of_graph(graph):
    mine = str(uuid.uuid4())
    response = graph.send(headers={"client-request-id": mine})
    assert (response.status_code, response.content) == (202, b"")
    assert response.headers["client-request-id"] == mine
    assert uuid.UUID(response.headers["request-id"])
    assert {"Date", "x-ms-ags-diagnostic"} <= set(response.headers)


def test_it_delivers_and_keeps_a_copy_of_exactly_what_was_submitted(graph, sandbox):
    mime = mail("Message-ID: <one@contoso.test>", body="Grüße\r\n\r\n.\r\n" * 50)
    graph.send(mime)
    (delivery,) = sandbox.deliveries()
    assert sandbox.raw(delivery["seq"]) == mime
    assert delivery["sha256"] == hashlib.sha256(mime).hexdigest()
    assert delivery["internet_message_id"] == "<one@contoso.test>"


def test_it_accepts_base64_with_line_breaks_as_in_the_documented_sample(graph, sandbox):
    mime = mail(body="x" * 500)
    graph.send(data=base64.encodebytes(mime).replace(b"\n", b"\r\n"))
    assert sandbox.raw(sandbox.deliveries()[0]["seq"]) == mime


def test_it_writes_the_facts_of_an_applied_request_to_the_ledger(graph, sandbox):
    mime = mail("Message-ID: <two@contoso.test>", "Bcc: Zoe@Example.org")
    response = graph.send(mime, headers={"client-request-id": "abc"})
    line = sandbox.ledger()[-1]
    assert line["decision"] == "applied"
    assert line["status"] == 202
    assert line["mailbox"] == GATEWAY
    assert line["app"] == graph.client_id
    assert line["recipients"] == ["ann@example.org", "zoe@example.org"]
    assert line["internet_message_id"] == "<two@contoso.test>"
    assert (line["size"], line["sha256"]) == (len(mime), hashlib.sha256(mime).hexdigest())
    assert (line["client_request_id"], line["request_id"]) == ("abc", response.headers["request-id"])


def test_it_refuses_a_request_above_4_mib_and_reads_it_to_its_end(graph, sandbox):
    response = graph.send(data=b"A" * (TOO_LARGE + 4))
    assert error(response) == (413, "RequestEntityTooLarge")
    assert response.json()["error"]["message"] == "The maximum request length supported is 4MB."
    assert sandbox.deliveries() == []


def test_it_takes_a_request_of_exactly_4_mib(graph, sandbox):
    mime = mail()
    mime += b"x" * (TOO_LARGE // 4 * 3 - len(mime))
    assert len(base64.b64encode(mime)) == TOO_LARGE
    assert graph.send(mime).status_code == 202


def test_the_other_reported_answer_to_a_large_request_can_be_switched_on(graph, sandbox):
    sandbox.world(behaviour={"oversize_status": 400})
    assert error(graph.send(data=b"A" * (TOO_LARGE + 4))) == (400, "BadRequest")


def test_the_silent_200_above_2240_kb_can_be_switched_on(graph, sandbox):
    sandbox.world(behaviour={"silent_200_above": 2240 * 1024})
    response = graph.send(mail(body="x" * 2240 * 1024))
    assert (response.status_code, response.content) == (200, b"")
    assert "request-id" in response.headers
    assert sandbox.deliveries() == []
    assert sandbox.ledger()[-1]["decision"] == "ignored"


def test_the_recipients_are_those_of_to_cc_and_bcc_and_nobody_else(graph, sandbox):
    to = 'Ann <Ann@Example.org>, "Lee, Bob" <bob@example.org>, Team: cy@example.org, di@example.org;'
    graph.send(mail("Cc: eve@example.org (Eve)", "Bcc: fay@example.org,\r\n gus@example.org", to=to))
    (delivery,) = sandbox.deliveries()
    assert delivery["to"] == ["ann@example.org", "bob@example.org", "cy@example.org", "di@example.org"]
    assert delivery["cc"] == ["eve@example.org"]
    assert delivery["bcc"] == ["fay@example.org", "gus@example.org"]
    assert delivery["recipients"] == sorted(delivery["to"] + delivery["cc"] + delivery["bcc"])


def test_an_address_that_is_named_twice_gets_one_mail(graph, sandbox):
    graph.send(mail("Cc: ANN@example.org"))
    assert sandbox.deliveries()[0]["recipients"] == ["ann@example.org"]


@pytest.mark.parametrize("to", ["", "Undisclosed recipients:;"])
def test_it_refuses_a_mail_without_recipients(graph, sandbox, to):
    response = graph.send(mail(to=to))
    assert error(response) == (400, "ErrorInvalidRecipients")
    assert "contains no recipients" in response.json()["error"]["message"]
    assert sandbox.deliveries() == []


@pytest.mark.parametrize("address", ["bad", "a b@example.org", "@nowhere"])
def test_it_names_the_recipient_that_it_cannot_resolve(graph, address):
    response = graph.send(mail(to=f"ann@example.org, {address}"))
    assert error(response) == (400, "ErrorInvalidRecipients")
    assert "isn't resolved" in response.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"!!!", b"QUJ", b"{}", b"QUJD=QUJD"])
def test_it_refuses_what_is_not_base64(graph, body):
    response = graph.send(data=body)
    assert error(response) == (400, "ErrorMimeContentInvalidBase64String")
    assert response.json()["error"]["message"] == "Invalid base64 string for MIME content."


@pytest.mark.parametrize("mime", [b"", b"\r\n\r\nbody only", b"no header field at all"])
def test_it_refuses_what_is_not_mime(graph, mime):
    assert error(graph.send(data=base64.b64encode(mime))) == (400, "ErrorMimeContentInvalid")


def test_it_refuses_a_header_block_above_256_kib(graph):
    assert error(graph.send(mail("X-Long: " + "x" * 256 * 1024))) == (400, "ErrorMimeContentInvalid")


@pytest.mark.parametrize("content_type", [None, "", "message/rfc822", "application/octet-stream"])
def test_it_refuses_other_content_types(graph, content_type):
    response = graph.send(headers={"Content-Type": content_type})
    assert error(response) == (415, "RequestBodyRead")


def test_it_refuses_what_exceeds_the_message_size_of_the_mailbox(graph, sandbox):
    sandbox.world(limits={"message_bytes": 1000})
    assert error(graph.send(mail(body="x" * 1000))) == (400, "ErrorMessageSizeExceeded")
    assert graph.send().status_code == 202


def test_an_error_has_the_shape_that_graph_gives_it(graph):
    response = graph.send(data=b"!!!", headers={"client-request-id": "mine"})
    inner = response.json()["error"]["innerError"]
    assert inner["request-id"] == response.headers["request-id"]
    assert inner["client-request-id"] == "mine"
    assert len(inner["date"]) == len("2026-05-06T05:40:06")


def test_a_path_that_does_not_exist_is_404_in_the_same_shape(graph):
    assert error(graph.call("GET", "/nothing")) == (404, "BadRequest")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, 'Recipient "ann@example.org" isn\'t resolved.'),
        ("Recipient '{name}' is not resolved.", "Recipient 'Ann A.' is not resolved."),
        ("Recipient ' {address} ' is not resolved.", "Recipient ' ann@example.org ' is not resolved."),
        ("", "At least one recipient is not valid.,  All"),
    ],
)
def test_it_refuses_a_recipient_in_the_words_that_it_is_told(graph, sandbox, text, said):
    switches = {"refused_recipients": ["Ann@example.org"]} | ({} if text is None else {"refusal_text": text})
    sandbox.world(behaviour=switches)

    response = graph.send(mail(to='"Ann A." <ann@example.org>'))

    assert error(response) == (400, "ErrorInvalidRecipients")
    assert said in response.json()["error"]["message"]
    assert sandbox.deliveries() == []
