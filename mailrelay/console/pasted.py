"""Reads text that people paste into a search, from logs, headers and other programs."""

import re

#: What stands around an id or an address that was copied.
BRACKETS = "<> \t\r\n"
_AROUND = "\"'“”‘’`,;. \t\r\n"
_LABEL = re.compile(
    r"(?:message-?id|msgid|(?:client-)?request-id|queue id|id|to|orig_to|cc|bcc|from|sender|reply-to|mailto"
    r"|mail from|rcpt to|client|subject)\s*[:=]\s*"
)
_ANGLES = re.compile(r"<\s*([^<>\s]+)\s*>")
_ADDRESS = re.compile(r"[^\s<>\"'“”‘’,;()]+@[^\s<>\"'“”‘’,;()]+")
_QUEUE_ID = re.compile(r"\b[0-9a-f]{32}\b")
_WITH_PORT = re.compile(r"(\[[0-9a-f:.]+\]|\d+(?:\.\d+){3}):\d+")


def readings(text: str) -> tuple[str, ...]:
    """Return what `text` may mean, in lower case: the one name that it holds, what is labelled, itself."""
    folded = text.strip(BRACKETS).lower()
    return tuple(dict.fromkeys(one for one in (_bare(_held(folded)), _bare(folded), folded) if one))


def _held(text: str) -> str:
    """Give the one Message-ID, address or queue id in `text`; all of it where there is none, or several."""
    for pattern in (_ANGLES, _ADDRESS, _QUEUE_ID):
        found = set(pattern.findall(text))
        if len(found) == 1:
            return str(found.pop())
    return text


def _bare(text: str) -> str:
    """Take away the label before a name, the port behind it and what stands around it."""
    bare = text.strip(_AROUND)
    if label := _LABEL.match(bare):
        bare = bare[label.end() :].strip(_AROUND + BRACKETS)
    port = _WITH_PORT.fullmatch(bare)
    return port[1] if port else bare
