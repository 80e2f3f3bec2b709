"""Messages that other projects test their parsers with, through the whole gateway.

Every leaf arrives, decoded bytes equal, at exactly the envelope; or the session says the true reason why not.
"""

import email
import os
import re
import smtplib
from email.message import Message
from pathlib import Path

import pytest

from mailrelay.mime.headers import header_start
from sandbox import world
from sandbox.client import SandboxProcess
from tests.corpora.reading import Leaf, as_sent, leaves
from tests.harness.ports import eventually
from tests.harness.processes import ROOT, GatewayProcess, base_environment, states

FOLDER = ROOT / ".venv" / "tools" / "corpora"
#: What scripts/fetch_corpora.py brings; the first come from PyPI, with fixed hashes.
PINNED = {"dkimpy", "django-mailbox", "email", "fast-mail-parser", "flufl-bounce", "hyperkitty", "lamson",
          "mail-parser", "mailbits", "mailman", "salmon-mail", "talon"}  # fmt: skip
OF_DEBIAN = {"cpython", "libmail-deliverystatus-bounceparser-perl", "notmuch"}
#: Seconds for one corpus.
PATIENCE = 120
MAILBOX = "gateway@contoso.test"

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    with SandboxProcess(folder / "sandbox") as sandbox:
        environment = base_environment(folder / "data", sandbox) | {
            "AZURE_CLIENT_ID": world.SECOND_CLIENT,
            "AZURE_CLIENT_SECRET": "sandbox-secret-2",
            "SENDER_CONCURRENCY": "0",
        }
        with GatewayProcess(environment) as gateway:
            gateway.sandbox = sandbox
            yield gateway


def corpus(name: str) -> list[Path]:
    """The messages of a corpus; skips where they were not fetched, and fails there if they have to be."""
    absent = FOLDER / name / "absent"
    if absent.exists():  # the index of packages has refused it: nothing that this machine could do
        pytest.skip(f"{name}: {absent.read_text()}")
    found = sorted((FOLDER / name).glob("*.eml"))
    if not found:
        reason = f"{name} is not on this machine (make services-test fetches it)"
        (pytest.fail if os.environ.get("REQUIRE_SERVICES") == "1" else pytest.skip)(reason)
    return found


class OwnListener:
    """A session that sends one mail after the other."""

    def __init__(self, gateway) -> None:
        self._client = smtplib.SMTP("127.0.0.1", gateway.smtp_port, timeout=60)
        self._client.ehlo("client.test")

    def send(self, raw: bytes, recipients: list[str]) -> str:
        """Send; return what is said of it, which is the reply to the first command that is refused."""
        for code, text in (
            self._client.mail("app@contoso.test"),
            *map(self._client.rcpt, recipients),
            self._client.data(raw),
        ):
            assert code == 250 or code >= 500, text
            if code != 250:
                self._client.rset()
                return f"{code} {text.decode()}"
        return "250"


@pytest.mark.parametrize("name", sorted(PINNED | OF_DEBIAN))
def test_every_leaf_of_foreign_mail_arrives_or_the_refusal_is_true(place, name):
    before, smtp_server, taken, ids = len(place.sandbox.deliveries()), OwnListener(place), {}, set()
    for number, path in enumerate(corpus(name)):
        recipient = f"{name}-{number}@example.org"
        raw = as_sent(path.read_bytes())
        # One Message-ID at one recipient again and again is a loop to the gateway.
        message_id = header_of(raw)["Message-ID"]
        recipients = [recipient, *(named_in(raw) if message_id not in ids else [])]
        ids.add(message_id)
        said = smtp_server.send(raw, recipients)
        if is_signed(raw) and said.startswith("550 5.7.60 "):
            raw = from_the_mailbox(raw)
            said = smtp_server.send(raw, recipients)
        if said == "250":
            taken[recipient] = (path, raw, recipients)
        else:
            assert is_true(said, raw), f"{path}: {said}"

    eventually(lambda: len(place.sandbox.deliveries()) >= before + len(taken), PATIENCE, "all being sent")
    arrived = {whose: mail for mail in place.sandbox.deliveries()[before:] for whose in mail["recipients"]}
    assert set(states(place.environment)) <= {"sent"}
    for recipient, (path, raw, recipients) in taken.items():
        mail = arrived[recipient]
        assert sorted(mail["recipients"]) == sorted(recipients), path
        sent, made = leaves(raw[header_start(raw) :]), place.sandbox.raw(mail["seq"])
        assert [leaf.content for leaf in leaves(made)] == [leaf.content for leaf in sent], path
        assert [*map(kind_of, leaves(made))] == [*map(kind_of, sent)], path
        assert is_fit(made), path


def test_the_corpus_has_messages_by_the_hundred():
    messages = [path for name in PINNED for path in corpus(name)]

    assert len(messages) >= 300
    if not list(FOLDER.glob("*/absent")):
        assert len([path for name in OF_DEBIAN for path in corpus(name)]) >= 300


def named_in(raw: bytes) -> list[str]:
    """The first address of To, which stays in sight where it is in the envelope."""
    match = re.search(
        rb"^To: *(?:[\w ]*<)?([\w.+-]{1,60}@[\w-]+(?:\.[\w-]+)+)>? *\r\n(?![ \t])", raw, re.MULTILINE
    )
    return [match[1].decode().lower()] if match else []


def kind_of(leaf: Leaf) -> str:
    """A multipart in which no part can be found may become the text that it is to its readers."""
    return "text/plain" if leaf.kind.startswith("multipart/") else leaf.kind


def header_of(raw: bytes) -> Message:
    return email.message_from_bytes(raw[header_start(raw) :])


def is_signed(raw: bytes) -> bool:
    return header_of(raw).get_content_type() in {"multipart/signed", "application/pkcs7-mime"} | {
        "application/x-pkcs7-mime"
    }


def from_the_mailbox(raw: bytes) -> bytes:
    """The same with a From that needs no rewriting, which would break the signature."""
    header, blank, body = raw[header_start(raw) :].partition(b"\r\n\r\n")
    without = re.sub(rb"(?im)^From:.*\r\n(?:[ \t].*\r\n)*", b"", header + b"\r\n")
    return b"From: " + MAILBOX.encode() + b"\r\n" + without.rstrip(b"\r\n") + blank + body


def is_true(said: str, raw: bytes) -> bool:
    """Whether a mail is what a refusal says of it."""
    if said.startswith("554 5.4.6 "):
        return len(header_of(raw).get_all("Received", [])) >= 50
    return False


def is_fit(made: bytes) -> bool:
    """Whether it is what Graph reads: ASCII but for addresses of people, and no line over 998 octets."""
    body = made.partition(b"\r\n\r\n")[2]
    sealed = b"multipart/signed" in made or b"multipart/encrypted" in made or b"pkcs7-mime" in made
    return sealed or (body.isascii() and max(map(len, made.split(b"\r\n"))) <= 998)
