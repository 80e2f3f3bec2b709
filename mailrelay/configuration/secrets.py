"""Secrets by reference: the file names where one is, and never holds it."""

import os
from pathlib import Path

from mailrelay import parsing
from mailrelay.configuration.reading import Item
from mailrelay.graph.credentials import armoured

#: How DER begins, and with it a PFX file: a SEQUENCE with a length of its own.
PFX_START = b"\x30\x82"
#: What export writes in the place of a secret that is stored, and apply leaves as it is.
KEEP = "keep"
#: Columns that hold the value of a client secret.
CLIENT_SECRETS = ("secret", "next_secret")
HINT = f"Write {{env: NAME}}, {{file: PATH}}, or {KEEP} to leave the stored one."


def read(item: Item, folder: Path, column: str) -> str | None:
    """Give the secret of a column; None to keep the stored one. Raises ConfigurationError."""
    secret = resolve(item, folder)
    try:
        return parsing.client_secret(secret) if secret and column in CLIENT_SECRETS else secret
    except ValueError as problem:
        raise item.error(str(problem)) from None


def resolve(item: Item, folder: Path) -> str | None:
    """Give the secret that `item` refers to; None to keep the stored one.

    A path is relative to `folder`, where the file lies; one line end at its end is not part of the secret.
    Raises ConfigurationError, which never quotes the value.
    """
    if not item.is_mapping():
        if item.text() == KEEP:
            return None
        raise item.error(f"must be a reference: a secret has no place in this file. {HINT}")
    sources = item.mapping(("env", "file"))
    if len(sources) != 1:
        raise item.error(f"must name one source. {HINT}")
    ((kind, source),) = sources.items()
    return _from_variable(source) if kind == "env" else _from_file(source, folder)


def _from_variable(source: Item) -> str:
    name = source.text()
    secret = os.environ.get(name, "")
    if not secret:
        raise source.error(f"the environment variable {name} is not set, or empty.")
    return secret


def _from_file(source: Item, folder: Path) -> str:
    path = folder / source.text()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise source.error(f"{path} cannot be read: {error.strerror}.") from None
    try:
        secret = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        if not data.startswith(PFX_START):
            raise source.error(f"{path} is neither UTF-8 text nor a PFX file.") from None
        return armoured(data)
    if not secret:
        raise source.error(f"{path} is empty.")
    return secret
