"""One client or sender from the command line: an entry of the file, with its checks and its sentences."""

import json
from collections.abc import Mapping
from pathlib import Path

from mailrelay.configuration.applying import apply
from mailrelay.configuration.document import parse
from mailrelay.configuration.plan import Step
from mailrelay.configuration.reading import ConfigurationError
from mailrelay.models import SmtpClient
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.routing import passwords


def add(section: str, entry: Mapping[str, object]) -> list[Step]:
    """Make or change the row that `entry` describes; keys without a value are left as they are.

    Raises ConfigurationError and OutboxError; nothing was changed then.
    """
    given = {key: value for key, value in entry.items() if value not in (None, [], {}, "")}
    # JSON is YAML, and what has no file has no line to name.
    return apply(parse(json.dumps({section: [given]}), "command line", Path.cwd()))


def set_password(name: str, password: str | None = None) -> str:
    """Give the client `name` a password, a new one if none is given; return it.

    Raises ConfigurationError when there is no such client, or it has no login.
    """
    chosen = password or passwords.generate()
    if len(chosen) < 8:
        raise ConfigurationError("The password has fewer than 8 characters: take a longer one.")
    encoded = passwords.make(chosen)

    def run() -> int:
        return SmtpClient.objects.filter(name=name).exclude(login="").update(password_hash=encoded)

    if not write(Move.REGISTER, run):
        raise ConfigurationError(
            f"There is no client {name} with a login: manage.py smtpclient add {name} --login NAME makes one."
        )
    return chosen
