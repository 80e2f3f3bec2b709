"""Runs mailrelay/mime on a sample and gives its answers as text that is the same on every Python."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from mailrelay.mime import (
    addresses,
    agents,
    archive,
    ascii,  # noqa: A004 - the module's name
    base64stream,
    charset,
    compose,
    contenttype,
    decoding,
    envelope,
    filename,
    headers,
    icalendar,
    identity,
    invitations,
    leaves,
    lines,
    mailbox,
    opening,
    outline,
    parts,
    resource,
    safe,
    skeleton,
    source,
    transfer,
    words,
    wrapped,
)
from mailrelay.vocabulary import FromPolicy
from scripts.differential.inputs import Sample

DATE = datetime(2026, 11, 2, 8, 15, 30, tzinfo=UTC)
POLICIES = tuple(FromPolicy)


class Content:
    """A message as rows of a database would hold it."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


def answers(sample: Sample) -> Iterator[tuple[str, str]]:
    """Yield the name of each question and the answer to it."""
    for name, ask in QUESTIONS.items():
        try:
            answer = shown(ask(sample))
        except (ValueError, skeleton.NotSeparableError, invitations.InvitationError) as error:
            answer = shown((type(error).__name__, str(error)))
        yield name, answer


def digest(sample: Sample) -> bytes:
    """Give one digest of the sample itself and of all answers."""
    made = hashlib.sha256(shown(sample).encode())
    for name, answer in answers(sample):
        made.update(f"{name}={answer}\n".encode())
    return made.digest()


def shown(value: Any) -> str:
    """Write `value` in ASCII, apart from how a version of Python writes its objects."""
    if isinstance(value, Enum):
        return value.name
    if is_dataclass(value):
        return shown({field.name: getattr(value, field.name) for field in fields(value) if field.repr})
    if isinstance(value, dict):
        return "{" + ",".join(f"{shown(key)}:{shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, frozenset | set):
        return "{" + ",".join(sorted(map(shown, value))) + "}"
    if isinstance(value, list | tuple | Iterator):
        return "[" + ",".join(map(shown, value)) + "]"
    if isinstance(value, headers.HeaderBlock):
        return shown(
            [value.fields, [field.value for field in value.fields], value.body_offset, value.as_bytes()]
        )
    if isinstance(value, memoryview):
        return shown(bytes(value))
    if isinstance(value, str):
        return value.encode("unicode_escape").decode()
    return str(value) if isinstance(value, int | bytes | None) else repr(value)


def block(sample: Sample) -> headers.HeaderBlock:
    return headers.HeaderBlock.parse(sample.message)


def read_header(sample: Sample) -> Any:
    found = block(sample)
    windowed = source.top_headers(Content(sample.message))
    read = opening.read_top(sample.message)
    return found, windowed, read, headers.fields_end(sample.message), headers.header_start(sample.message)


def read_parts(sample: Sample) -> Any:
    within = source.Windowed(Content(sample.message))
    return parts.index_parts(sample.message), parts.index_source(within)


def read_leaves(sample: Sample) -> Any:
    content = Content(sample.message)
    for part in parts.index_parts(sample.message):
        reader = leaves.LeafReader(content, part.body_start, part.body_end, part.encoding)
        whole = b"".join(leaves.LeafContent(reader))
        yield whole, reader.part(3, 7).read(), charset.charset_of(part.content_type, whole)
        packed = archive.Archive("x", reader, len(whole))
        yield packed.part(0, packed.size).read()


def read_names(sample: Sample) -> Any:
    for part in parts.index_parts(sample.message):
        own = headers.HeaderBlock.parse(sample.message[part.header_start : part.body_start])
        yield (
            filename.name_or_default(own, part.content_type),
            filename.disposition(own),
            filename.content_id(own),
        )


def read_roles(sample: Sample) -> Any:
    found = outline.Outline(source.InMemory(sample.message))
    return found.roles, [found.headers(number) for number in found.leaves()]


def read_types(sample: Sample) -> Any:
    kind = contenttype.parse_content_type(sample.content_type)
    yield kind, kind.main, kind.boundary, kind.charset, kind.is_signed, kind.is_sealed
    yield contenttype.is_readable(sample.content_type), charset.labelled(sample.content_type, "utf-8")
    yield contenttype.parse_parameters(sample.text), decoding.codec_of(kind.charset)
    yield transfer.transfer_encoding(sample.content_type), contenttype.parse_disposition(sample.content_type)


def read_addresses(sample: Sample) -> Any:
    for value in (sample.addresses, sample.text):
        found = addresses.read_list(value)
        yield found, found.mailboxes, wrapped.unwrapped(value)
        for one in found.mailboxes:
            yield mailbox.is_address(one.address), mailbox.is_writable(one.address)
            yield mailbox.format_phrase(one.display)
            if mailbox.is_writable(one.address):
                yield mailbox.format_mailbox(one.display, one.address)


def write_words(sample: Sample) -> Any:
    return words.decode_words(sample.text), words.encode_words(sample.text), words.storable(sample.text)


def read_calendars(sample: Sample) -> Any:
    found = icalendar.read_calendar(sample.calendar)
    return found, [found.asks(method) for method in sorted(icalendar.SCHEDULING)]


def break_lines(sample: Sample) -> Any:
    return [
        work(data)
        for data in (sample.message, sample.message.replace(b"\n", b""), sample.message * 9)
        for work in (lines.has_long_line, lines.fold_lines, lines.wrap_encoded)
    ]


def read_people(sample: Sample) -> Any:
    found = block(sample)
    return identity.author(found), envelope.named_recipients(found), agents.agents(found)


def write_header(sample: Sample) -> Any:
    found = block(sample)
    return ascii.encode_fields(found), found


def make_safe(sample: Sample) -> Any:
    found = block(sample)
    pieces, changes = safe.make_safe(sample.message, found)
    check = safe.CleanCheck()
    check.feed(sample.message)
    return b"".join(pieces), changes, found, safe.is_clean(sample.message), check.clean


def composed(sample: Sample, policy: FromPolicy) -> compose.Composed:
    return compose.compose(
        sample.message,
        recipients=sample.recipients,
        identity=own(policy),
        header_from="",
        message_id="<made@example.org>",
        date=DATE,
    )


def own(policy: FromPolicy) -> identity.Identity:
    return identity.Identity(
        policy, "relay@example.org", frozenset({"ann@example.org"}), frozenset({"example.net"})
    )


def compose_by_policy(sample: Sample) -> Any:
    policy = POLICIES[len(sample.message) % len(POLICIES)]
    mail = composed(sample, policy)
    yield b"".join(mail.parts), mail.size, mail.header_size, mail.changes
    yield base64stream.Base64Body(mail.parts, mail.size).read()
    yield [identity.refusal(block(sample), own(each)) for each in POLICIES]


def take_apart(sample: Sample) -> Any:
    def compose_part(raw: bytes) -> compose.Composed:
        return composed(replace(sample, message=raw), FromPolicy.REWRITE)

    found = skeleton.take_apart(Content(sample.message), skeleton.MARGIN + 400, compose_part)
    return b"".join(found.mail.parts), found.leaves, found.changes


def translate(sample: Sample) -> Any:
    return resource.as_resource(Content(sample.message), block(sample))


QUESTIONS: dict[str, Callable[[Sample], Any]] = {
    "header": read_header,
    "parts": read_parts,
    "leaves": read_leaves,
    "names": read_names,
    "roles": read_roles,
    "calendars": read_calendars,
    "lines": break_lines,
    "types": read_types,
    "addresses": read_addresses,
    "words": write_words,
    "people": read_people,
    "header in ASCII": write_header,
    "safe body": make_safe,
    "composed": compose_by_policy,
    "taken apart": take_apart,
    "resource": translate,
}
