"""Large mail, and what arrived of it."""

import email
import email.policy
import hashlib
import random
from email.message import EmailMessage

MEBIBYTE = 1024 * 1024


def blob(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def with_files(sizes: list[int], **headers: str) -> EmailMessage:
    """Make a mail with both texts, a picture in one of them, and files of `sizes` bytes."""
    message = EmailMessage()
    fields = {
        "From": "App <app@contoso.test>",
        "To": "Ann <ann@example.org>",
        "Subject": "Grüße, large",
        "Message-ID": "<large-1@app.test>",
    }
    for name, value in (fields | {key.replace("_", "-"): text for key, text in headers.items()}).items():
        message[name] = value
    message.set_content("plain Ünïcode text\n")
    message.add_alternative('<p>html text <img src="cid:logo@app.test"></p>\n', subtype="html")
    message.get_payload()[1].add_related(blob(2000, 99), "image", "png", cid="<logo@app.test>")
    for number, size in enumerate(sizes):
        message.add_attachment(
            blob(size, number), "application", "octet-stream", filename=f"Datei {number} ä.bin"
        )
    return message


def another(data: bytes, number: int) -> bytes:
    """Return the mail of `with_files` under another Message-ID: the same one twice is stored once."""
    return data.replace(b"<large-1@", b"<large-1-%d@" % number, 1)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def parsed(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)


def files(message: EmailMessage) -> dict[str, str]:
    """Each attachment's name and the digest of its content."""
    return {part.get_filename(): digest(part.get_content()) for part in message.iter_attachments()}


def texts(message: EmailMessage) -> tuple[str, str]:
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    return plain.get_content(), html.get_content()
