"""The parameters of RFC 3461: what is kept of them, and what is wrong with them."""

import pytest

from mailrelay.outbox.submission import NO_WISH, RecipientWish


def wish_of(door, parameters="", of_recipient=""):
    with door.connect() as talk:
        assert talk.say("EHLO x", f"MAIL FROM:<a@example.org>{parameters}").startswith("250")
        assert talk.say(f"RCPT TO:<b@example.net>{of_recipient}", "DATA").startswith("354")
        assert talk.say(b"From: a@example.org\r\n\r\nx\r\n.\r\n").startswith("250")
    return door.queue.last.wish


def test_a_client_that_asks_for_nothing_has_no_wish(door):
    assert wish_of(door) == NO_WISH
    assert wish_of(door, " SIZE=100 BODY=8BITMIME") == NO_WISH


def test_what_is_asked_for_is_kept_decoded(door):
    wish = wish_of(door, " RET=hdrs ENVID=QQ+2B1", " NOTIFY=failure,SUCCESS ORCPT=rfc822;b+40old.example")
    assert (wish.ret, wish.envid) == ("HDRS", "QQ+1")
    assert wish.recipients == {"b@example.net": RecipientWish("FAILURE,SUCCESS", "rfc822;b@old.example")}


def test_a_transaction_inherits_nothing_of_the_one_before(door):
    with door.connect() as talk:
        talk.say(
            "EHLO x", "MAIL FROM:<a@example.org> RET=FULL", "RCPT TO:<b@example.net> NOTIFY=NEVER", "RSET"
        )
        talk.mail(b"From: a@example.org\r\n\r\nx\r\n")
    assert door.queue.last.wish == NO_WISH


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
def test_a_recipient_that_is_named_twice_has_the_reports_that_either_wants(door, first, second, notify):
    with door.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>", f"RCPT TO:<b@example.net> {first} ORCPT=rfc822;x@y")
        assert talk.say(f"RCPT TO:<B@example.net> {second}", "DATA").startswith("354")
        assert talk.say(b"From: a@example.org\r\n\r\nx\r\n.\r\n").startswith("250")
    assert door.queue.last.wish.recipients == {"b@example.net": RecipientWish(notify, "rfc822;x@y")}


@pytest.mark.parametrize("envid", ["+0D+0AX-Injected:1", "a+zz", "+C3+A4", "x" * 101])
def test_a_name_that_is_none_is_forgotten_and_the_mail_taken(door, envid):
    assert wish_of(door, f" ENVID={envid}").envid == ""


@pytest.mark.parametrize("original", ["x", "rfc822;", "rfc822;a+0Db", ";a@b", "rfc822;" + "x" * 500])
def test_an_original_recipient_that_is_none_is_forgotten(door, original):
    assert wish_of(door, "", f" ORCPT={original}") == NO_WISH


@pytest.mark.parametrize(
    "line",
    ["MAIL FROM:<a@example.org> RET=ALL", "MAIL FROM:<a@example.org> RET"],
)
def test_a_return_that_is_neither_is_refused(door, line):
    with door.connect() as talk:
        assert talk.say("EHLO x", line).startswith("501 5.5.4 RET")


@pytest.mark.parametrize("notify", ["NEVER,FAILURE", "SOMETIMES", "", "FAILURE,"])
def test_a_notice_that_is_none_is_refused(door, notify):
    with door.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>")
        assert talk.say(f"RCPT TO:<b@example.net> NOTIFY={notify}").startswith("501 5.5.4 NOTIFY")
