"""A fuzzer on the dialogue: no crash, no 250 without a row, no row without an envelope."""

import select
import socket

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.abuse.conftest import ACCEPTED

PATIENCE = 60.0
ADDRESSES = st.sampled_from(
    ["a@contoso.test", "b@example.net", "postmaster", "", "ü@example.net", '"q q"@example.net']
)
JUNK = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"\0", b"\r", b"\n", b"\xff" * 9, b"A" * 3000, b"\x16\x03\x01\x02\0", b"%s%n", b"<" * 40]
    ),
)
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n", b""])
TAILS = st.sampled_from(
    [b"\r\n.\r\n", b"\r\n.\r\n", b"\r\n.\r\n", b"\n.\n", b"\r\n.\n", b".\r\n", b"", b"\r\n..\r\n"]
)
LINES = st.sampled_from(
    b"NOOP|RSET|HELP|VRFY x|EXPN x|AUTH|AUTH PLAIN =|AUTH LOGIN|*|QUIT|BDAT|BDAT x|BDAT -1|BDAT 0|"
    b"BDAT 0 LAST|DATA x|HELO|XCLIENT|STARTTLS x|".split(b"|")
)
CONTENT = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"From: a@contoso.test\r\n\r\nx",
            b"From: a@contoso.test\nTo: b\n\n.\n..\n",
            b"\r\n",
            b"Received: x\r\n" * 60,
        ]
    ),
)


def dialogue(target) -> type[RuleBasedStateMachine]:
    """Make the class of conversations with `target`."""

    class Dialogue(RuleBasedStateMachine):
        """One connection. What is said is said without regard to where the session is."""

        def __init__(self) -> None:
            super().__init__()
            self.before = target.newest()
            self.socket = socket.create_connection(("127.0.0.1", target.smtp_port), PATIENCE)
            self.heard = b""
            self.senders, self.recipients = {""}, set()
            self.cut = False

        def say(self, data: bytes) -> None:
            try:
                self.socket.sendall(data)
                while select.select([self.socket], [], [], 0.002)[0]:
                    piece = self.socket.recv(65536)
                    self.heard += piece
                    if not piece:
                        break
            except OSError:
                self.cut = True

        @rule(verb=st.sampled_from([b"EHLO x", b"HELO x", b"ehlo [127.0.0.1]"]))
        def greet(self, verb: bytes) -> None:
            self.say(verb + b"\r\n")

        @rule(
            address=ADDRESSES,
            tail=st.sampled_from(
                [
                    "",
                    " SIZE=100",
                    " BODY=8BITMIME SMTPUTF8",
                    " SIZE=x",
                    " RET=FULL ENVID=+2B",
                    " RET= ENVID=+0",
                ]
            ),
        )
        def begin(self, address: str, tail: str) -> None:
            self.senders.add(address)
            self.say(f"MAIL FROM:<{address}>{tail}\r\n".encode())

        @rule(
            address=ADDRESSES,
            tail=st.sampled_from(["", " NOTIFY=NEVER", " ORCPT=x", " NOTIFY=,", " ORCPT=rfc822;+0A"]),
        )
        def name(self, address: str, tail: str) -> None:
            self.recipients.add(address)
            self.say(f"RCPT TO:<{address}>{tail}\r\n".encode())

        @rule(content=CONTENT, tail=TAILS)
        def give(self, content: bytes, tail: bytes) -> None:
            self.say(b"DATA\r\n")
            self.say(content + tail)

        @rule(address=ADDRESSES, content=CONTENT, pause=st.booleans())
        def mail(self, address: str, content: bytes, pause: bool) -> None:
            self.begin("a@contoso.test", "")
            self.name(address, "")
            self.give(content, b"\r\n.\r\n" if pause else b"\r\n.\r\nRSET\r\n")

        @rule(content=CONTENT, error=st.sampled_from([0, 0, 0, 1, -1]), last=st.sampled_from([b"", b" LAST"]))
        def chunk(self, content: bytes, error: int, last: bytes) -> None:
            self.say(b"BDAT %d%s\r\n%s" % (max(0, len(content) + error), last, content))

        @rule(line=LINES, junk=JUNK, end=ENDS, where=st.integers(0, 9))
        def spoil(self, line: bytes, junk: bytes, end: bytes, where: int) -> None:
            self.say(line[:where] + junk + line[where:] + end)

        @rule(line=LINES)
        def order(self, line: bytes) -> None:
            self.say(line + b"\r\n")

        def teardown(self) -> None:
            self.listen_to_the_end()
            target.check()
            rows = target.queue(self.before)
            new = set(rows)
            told = set(ACCEPTED.findall(self.heard.decode("utf-8", "replace")))
            assert told <= new, f"250 without a row: {told - new}"
            # A connection that was reset may have lost a reply on its way.
            assert self.cut or told == new, f"a row without a 250: {new - told}"
            for row in rows.values():
                assert row.whole
                assert row.recipients
                assert row.mail_from in self.senders
            for line in self.heard.split(b"\r\n")[:-1]:
                assert line[:3].isdigit() and line[3:4] in {b" ", b"-"} and b"\n" not in line, line

        def listen_to_the_end(self) -> None:
            try:
                self.socket.shutdown(socket.SHUT_WR)
                while piece := self.socket.recv(65536):
                    self.heard += piece
            except TimeoutError:
                raise AssertionError("the session did not end after the client had shut its side") from None
            except OSError:
                self.cut = True
            finally:
                self.socket.close()

    return Dialogue


def fuzz(target, examples: int, steps: int) -> None:
    before = target.newest()
    run_state_machine_as_test(
        dialogue(target),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert target.newest() > before, "the fuzzer never got a mail through: it tests nothing"


def test_no_dialogue_breaks_the_listener_or_its_word(target):
    fuzz(target, 60, 25)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_thousands_of_dialogues_break_neither(target):
    fuzz(target, 5000, 40)
