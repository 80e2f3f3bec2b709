"""Nothing that a client says becomes another mail, another command or another header than it is."""

import pytest

from tests.abuse.conftest import ACCEPTED
from tests.harness.processes import rows

HEADER = b"From: app@contoso.test\r\nSubject: one\r\n\r\n"
ENVELOPE = b"MAIL FROM:<evil@contoso.test>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\n"
SECOND = ENVELOPE + b"From: evil@contoso.test\r\n\r\nx"
#: Of the published attacks (CVE-2023-51764 to -51766, CVE-2024-27305): what some server took for the end.
ENDINGS = [
    b"\n.\n",
    b"\r.\r",
    b"\r.\n",
    b"\n.\r",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n. \r\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\r\n.\n",
    b"\n.\r\r\n",
    b"\r\r\n\0.\r\r\n",
    b"\r\n\n.\r\n",
    b"\n\r.\r\n",
    b"\r\n\x0b.\r\n",
]


def queued(target, before):
    return {identifier: row for identifier, row in target.queue().items() if identifier not in before}


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
def test_a_smuggled_mail_stays_text_of_the_first(target, ending):
    before = target.queue()
    with target.talk() as talk:
        talk.begin("app@contoso.test", "ann@example.org")
        talk.send(HEADER + b"text" + ending + SECOND + b"\r\n.\r\n")
        reply = talk.reply()
        assert ACCEPTED.match(reply)
        assert talk.say("QUIT").startswith("221 ")
        assert talk.at_end()
    (row,) = queued(target, before).values()
    assert (row.mail_from, row.recipients) == ("app@contoso.test", ("ann@example.org",))


@pytest.mark.parametrize("ending", [b"\r\n.\n", b"\n.\r\n"], ids=repr)
def test_a_smuggled_mail_stays_text_when_it_comes_in_a_chunk(target, ending):
    before = target.queue()
    content = HEADER + b"text" + ending + SECOND + b"\r\n.\r\n"
    with target.talk() as talk:
        talk.say("EHLO x", "MAIL FROM:<app@contoso.test>", "RCPT TO:<ann@example.org>")
        talk.send(b"BDAT %d LAST\r\n" % len(content) + content)
        assert ACCEPTED.match(talk.reply())
    assert len(queued(target, before)) == 1


@pytest.mark.parametrize(
    "early", [b"NOOP\r\n", b"MAIL FROM:<evil@contoso.test>\r\n", SECOND + b"\r\n.\r\n"], ids=len
)
def test_what_is_slipped_in_behind_starttls_ends_the_session(target, early):
    before = target.queue()
    with target.talk() as talk:
        talk.say("EHLO x")
        talk.send(b"STARTTLS\r\n" + early)
        assert talk.reply().startswith("554 5.5.1 ")
        assert talk.at_end()
    assert not queued(target, before)


@pytest.mark.parametrize(
    "path",
    [
        b"<app@contoso.test\rRCPT TO:<victim@example.net>>",
        b"<app@contoso.test\nX: y>",
        b"<app\0@contoso.test>",
        b"<app@contoso.test> SIZE=1\rBcc:victim@example.net",
        b"<app@contoso.test> AUTH=<\x0bx>",
        b"<app\x1b[2J@contoso.test>",
        b"<app\x7f@contoso.test>",
    ],
    ids=repr,
)
@pytest.mark.parametrize("command", [b"MAIL FROM:", b"RCPT TO:"])
def test_control_characters_reach_no_envelope(target, command, path):
    before = target.queue()
    with target.talk() as talk:
        talk.say("EHLO x")
        if command.startswith(b"RCPT"):
            talk.say("MAIL FROM:<app@contoso.test>")
        assert talk.say(command + path + b"\r\n").startswith("501 ")
    assert not queued(target, before)


@pytest.mark.parametrize(
    "name", [b"x\rBcc: victim@example.net", b"x\xe2\x80\xa8Bcc: v@example.net", b"(\xff)\xc2\x85Bcc: v"]
)
def test_the_name_of_a_client_writes_no_header(target, name):
    before = target.queue()
    with target.talk() as talk:
        talk.send(b"EHLO " + name + b"\r\n")
        talk.reply()
        assert talk.say("MAIL FROM:<app@contoso.test>", "RCPT TO:<ann@example.org>", "DATA").startswith("354")
        assert ACCEPTED.match(talk.say(HEADER + b"x\r\n.\r\n"))
    (identifier,) = queued(target, before)
    ((data,),) = rows(
        target.environment, "SELECT data FROM mailrelay_contentchunk WHERE content = %s", identifier
    )
    head = data.split(b"\r\n\r\n")[0]
    fields = [line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1] not in {b" ", b"\t"}]
    assert fields == [b"Received", b"From", b"Subject"]
    assert b"\r" not in head.replace(b"\r\n", b"")


@pytest.mark.parametrize("opening", [b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"])
def test_a_browser_that_is_sent_here_delivers_nothing(target, opening):
    before = target.queue()
    with target.talk() as talk:
        talk.send(opening + b"EHLO x\r\n" + SECOND + b"\r\n.\r\n")
        assert not ACCEPTED.search(talk.file.read().decode())
    assert not queued(target, before)


def test_early_talkers_that_hang_up_get_what_they_said_and_no_more(target):
    before = target.queue()
    with target.talk(greeting=False) as talk:
        mail = (
            b"MAIL FROM:<app@contoso.test>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n" + HEADER + b"x\r\n.\r\n"
        )
        talk.send(b"EHLO x\r\n" + mail * 5 + b"QUIT\r\n" + mail)
        said = talk.file.read().decode()
    assert set(ACCEPTED.findall(said)) == set(queued(target, before))
    assert len(queued(target, before)) == 5
