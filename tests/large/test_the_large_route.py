"""Mail beyond one request: a draft of the skeleton, its leaves by upload, and every byte arrives."""

from tests.harness.processes import as_sent, rows, send
from tests.large.mails import MEBIBYTE, files, parsed, texts, with_files


def test_a_large_mail_arrives_with_both_texts_its_picture_and_every_file(able):
    listener = able.start()
    message = with_files([4 * MEBIBYTE + 11, 2 * MEBIBYTE, 500, 9 * MEBIBYTE])

    send(listener.smtp_port, message, ["ann@example.org", "blind@example.org"])
    able.wait_for(sent=1, timeout=90)

    (delivery,) = able.delivered()
    arrived = parsed(able.sandbox.raw(delivery["seq"]))
    assert delivery["route"] == "draft"
    assert delivery["recipients"] == ["ann@example.org", "blind@example.org"]
    assert delivery["bcc"] == ["blind@example.org"]
    assert delivery["internet_message_id"] == "<large-1@app.test>"
    assert files(arrived) == files(message)
    assert texts(arrived) == texts(parsed(as_sent(message)))
    assert arrived["Subject"] == "Grüße, large"
    ((route, outcome, complete),) = rows(
        able.environment, "SELECT route, outcome, draft_complete FROM mailrelay_sendlog"
    )
    assert (route, outcome, bool(complete)) == ("large", "sent", True)
