"""The parameters of RFC 3461: what is kept of them, and what is wrong with them."""

import pytest

from mailrelay.outbox.submission import NO_DSN_REQUEST, RecipientDsn


def wish_of(smtp_server, parameters="", of_recipient=""):
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", f"MAIL FROM:<a@example.org>{parameters}").startswith("250")
        assert talk.say(f"RCPT TO:<b@example.net>{of_recipient}", "DATA").startswith("354")
        assert talk.say(b"From: a@example.org\r\n\r\nx\r\n.\r\n").startswith("250")
    return smtp_server.queue.last.dsn_request


def test_a_client_that_asks_for_nothing_has_no_wish(smtp_server):
    assert wish_of(smtp_server) == NO_DSN_REQUEST
    assert wish_of(smtp_server, " SIZE=100 BODY=8BITMIME") == NO_DSN_REQUEST


def test_what_is_asked_for_is_kept_decoded(smtp_server):
    dsn_request = wish_of(
        smtp_server, " RET=hdrs ENVID=QQ+2B1", " NOTIFY=failure,SUCCESS ORCPT=rfc822;b+40old.example"
    )
    assert (dsn_request.ret, dsn_request.envid) == ("HDRS", "QQ+1")
    assert dsn_request.recipients == {
        "b@example.net": RecipientDsn("FAILURE,SUCCESS", "rfc822;b@old.example")
    }


def test_a_transaction_inherits_nothing_of_the_one_before(smtp_server):
    with smtp_server.connect() as talk:
        talk.say(
            "EHLO x", "MAIL FROM:<a@example.org> RET=FULL", "RCPT TO:<b@example.net> NOTIFY=NEVER", "RSET"
        )
        talk.mail(b"From: a@example.org\r\n\r\nx\r\n")
    assert smtp_server.queue.last.dsn_request == NO_DSN_REQUEST


@pytest.mark.parametrize(
    ("first", "second", "notify"),
    [
        ("NOTIFY=FAILURE", "NOTIFY=DELAY,FAILURE", "DELAY,FAILURE"),
        ("NOTIFY=NEVER", "NOTIFY=FAILURE", "FAILURE"),
        ("NOTIFY=NEVER", "NOTIFY=NEVER", "NEVER"),
        ("", "NOTIFY=NEVER", ""),
        ("NOTIFY=DELAY", "", ""),
    ],
)
def test_a_recipient_that_is_named_twice_has_the_reports_that_either_wants(
    smtp_server, first, second, notify
):
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>", f"RCPT TO:<b@example.net> {first} ORCPT=rfc822;x@y")
        assert talk.say(f"RCPT TO:<B@example.net> {second}", "DATA").startswith("354")
        assert talk.say(b"From: a@example.org\r\n\r\nx\r\n.\r\n").startswith("250")
    assert smtp_server.queue.last.dsn_request.recipients == {
        "b@example.net": RecipientDsn(notify, "rfc822;x@y")
    }


@pytest.mark.parametrize("envid", ["+0D+0AX-Injected:1", "a+zz", "+C3+A4", "x" * 101])
def test_a_name_that_is_none_is_forgotten_and_the_mail_taken(smtp_server, envid):
    assert wish_of(smtp_server, f" ENVID={envid}").envid == ""


@pytest.mark.parametrize("original", ["x", "rfc822;", "rfc822;a+0Db", ";a@b", "rfc822;" + "x" * 500])
def test_an_original_recipient_that_is_none_is_forgotten(smtp_server, original):
    assert wish_of(smtp_server, "", f" ORCPT={original}") == NO_DSN_REQUEST


@pytest.mark.parametrize(
    "line",
    ["MAIL FROM:<a@example.org> RET=ALL", "MAIL FROM:<a@example.org> RET"],
)
def test_a_return_that_is_neither_is_refused(smtp_server, line):
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", line).startswith("501 5.5.4 RET")


@pytest.mark.parametrize("notify", ["NEVER,FAILURE", "SOMETIMES", "", "FAILURE,"])
def test_a_notice_that_is_none_is_refused(smtp_server, notify):
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>")
        assert talk.say(f"RCPT TO:<b@example.net> NOTIFY={notify}").startswith("501 5.5.4 NOTIFY")
