"""SMTP in, Graph out, on every installation: the mail that was sent, to exactly its envelope."""

import hashlib

from tests.harness.processes import as_sent, mail, rows, send


def test_it_delivers_the_content_to_exactly_the_envelope(stack):
    listener = stack.start()

    queue_id = send(listener.smtp_port, mail(1), ["ann@example.org", "blind@example.org"])
    stack.wait_for(sent=1)

    (delivery,) = stack.delivered()
    assert sorted(delivery["recipients"]) == ["ann@example.org", "blind@example.org"]
    assert len(queue_id) == 32


def test_it_delivers_two_hundred_mails_once_each(stack):
    listener = stack.start()

    for number in range(200):
        send(listener.smtp_port, mail(number))
    stack.wait_for(sent=200)

    ids = [delivery["internet_message_id"] for delivery in stack.delivered()]
    assert sorted(ids) == sorted(f"<test-{number}@app.test>" for number in range(200))


def test_it_keeps_mail_while_graph_is_away_and_sends_all_of_it_once_later(stack):
    listener = stack.start()
    send(listener.smtp_port, mail("first"))
    stack.wait_for(sent=1)

    stack.sandbox.stop()
    for number in range(200):
        send(listener.smtp_port, mail(number))
    stack.sandbox.start()
    stack.wait_for(sent=201, timeout=120)

    ids = [delivery["internet_message_id"] for delivery in stack.delivered()]
    assert sorted(ids) == sorted(f"<test-{number}@app.test>" for number in range(200))


def test_it_writes_an_attempt_with_what_graph_said(embedded):
    listener = embedded.start()

    send(listener.smtp_port, mail(1))
    embedded.wait_for(sent=1)

    ((outcome, status, request_id, sentence),) = rows(
        embedded.environment, "SELECT outcome, http_status, request_id, sentence FROM mailrelay_sendlog"
    )
    assert (outcome, status) == ("sent", 202)
    assert len(request_id) == 36
    assert sentence


def test_it_stores_what_came_byte_for_byte(embedded):
    listener = embedded.start()
    message = mail(1, size=600_000)

    send(listener.smtp_port, message)
    embedded.wait_for(sent=1)

    chunks = rows(embedded.environment, "SELECT data FROM mailrelay_contentchunk ORDER BY number")
    stored = b"".join(chunk for (chunk,) in chunks)
    sent = as_sent(message)
    assert len(chunks) > 1
    assert hashlib.sha256(stored[-len(sent) :]).digest() == hashlib.sha256(sent).digest()
    assert stored[: -len(sent)].startswith(b"Received: from client.test")
