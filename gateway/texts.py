"""Values of variables that are text of a certain shape; each function returns it in its one form.

All raise ValueError with the end of a sentence whose subject is the variable.
"""

import re
from urllib.parse import urlsplit

ADDRESS = r"[^\s@<>,;\"]+@[^\s@<>,;\"]+"
OBJECT_ID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
BROKERS = ("memory", "amqp", "amqps", "pyamqp", "redis", "rediss", "sentinel")


def identifier(text: str) -> str:
    """Take a GUID or a domain: what stands in a path of Microsoft's, and so has no slash and no blank."""
    if not re.fullmatch(r"[A-Za-z0-9._-]*", text):
        raise ValueError("must be the id as the portal shows it, without blanks or slashes")
    return text


def email_address(text: str) -> str:
    if text and not re.fullmatch(ADDRESS, text):
        raise ValueError("must be one address such as relay@example.org")
    return text


def sender_address(text: str) -> str:
    if re.fullmatch(OBJECT_ID, text):
        raise ValueError("must be the mailbox's address; its object id goes into SENDER_MAILBOX beside it")
    return email_address(text)


def mailbox_key(text: str) -> str:
    """Take what Graph finds a mailbox by: a user principal name or an object id."""
    if text and ("/" in text or not re.fullmatch(f"{ADDRESS}|{OBJECT_ID}", text)):
        raise ValueError("must be a user principal name such as relay@example.org, or an object id (a GUID)")
    return text


def https_host(text: str) -> str:
    """Take `https://host[:port]`; the slash that Azure's webhooks put at its end goes."""
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("must be https://host without a path, since tokens cross the network there")
    return text.rstrip("/")


def host_name(text: str) -> str:
    """Take a name for the greeting (RFC 5321 section 4.1.2: a domain or an address literal)."""
    if not re.fullmatch(r"[A-Za-z0-9._-]*|\[[0-9A-Za-z.:]+\]", text):
        raise ValueError("must be a host name such as mail.example.org")
    return text


def broker_url(text: str) -> str:
    """Take a URL of a broker that kombu speaks to; its password is not quoted in the refusal."""
    parts = urlsplit(text)
    if parts.scheme not in BROKERS:
        raise ValueError("must start with amqp://, amqps://, redis://, rediss://, sentinel:// or memory://")
    try:
        port_is_usable = parts.port is None or parts.port > 0
    except ValueError:
        port_is_usable = ";" in text  # sentinel:// lists several hosts
    if not port_is_usable:
        raise ValueError("has no usable port: write #, / and ? in a password as %23, %2F and %3F")
    return text


def domain(text: str) -> str:
    """Take a domain, with or without an @ before it."""
    name = text.removeprefix("@").lower()
    if name and not re.fullmatch(r"[\w-]+(?:\.[\w-]+)+", name):
        raise ValueError("must be a domain such as example.org")
    return name


def aliases(text: str) -> dict[str, list[str]]:
    """Take `root: admin@example.org, backup: a@example.org b@example.org`: names and whom each stands for.

    Blanks, commas and line ends part the words. A name may have a domain, and an address may lack one where
    it is another name.
    """
    found: dict[str, list[str]] = {}
    name = ""
    for word in filter(None, re.split(r"[\s,;]+|(?<=:)", re.sub(r"\s+:", ":", text))):
        if not re.fullmatch(r"[^@<>:\"\\()\[\]]+(?:@[\w-]+(?:\.[\w-]+)*)?:?", word):
            raise ValueError(f"has {word!r}, which is neither a name with a colon nor an address")
        if word.endswith(":"):
            name = word[:-1].lower() if word.isascii() else word[:-1]
            if name in found:
                raise ValueError(f"has the name {name!r} twice")
            found[name] = []
        elif not name:
            raise ValueError(f"has {word!r} before any name: write root: admin@example.org")
        else:
            found[name].append(word)
    if lacking := next((name for name, addresses in found.items() if not addresses), None):
        raise ValueError(f"has no address for {lacking!r}")
    return found


def words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def directories(text: str) -> tuple[str, ...]:
    found = words(text)
    for directory in found:
        if not directory.startswith("/") or ".." in directory.split("/"):
            raise ValueError(f"has {directory!r}, which is not an absolute path such as /var/run/secrets")
    return tuple(directory.rstrip("/") for directory in found)


def origins(text: str) -> list[str]:
    found = words(text)
    for origin in found:
        if urlsplit(origin).scheme not in {"http", "https"} or not urlsplit(origin).netloc:
            raise ValueError(f"has {origin!r}, which is not an origin such as https://mail.example.org")
    return found
