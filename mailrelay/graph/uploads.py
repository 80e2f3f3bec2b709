"""Upload sessions: a large file in ranges, resumed where it broke.

https://learn.microsoft.com/graph/outlook-large-attachments and attachment-createuploadsession: ranges of at
most 4 MB, in order, to a URL that carries its own authorisation and takes no other.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import quote, urlsplit

from mailrelay.graph.answer import Answer
from mailrelay.graph.calls import Caller, Response, response_of
from mailrelay.graph.drafts import File
from mailrelay.graph.http import Body

#: Bytes of one range: twelve times 320 KiB, under 4 MB by either count.
RANGE: Final = 3_932_160
#: Times that an upload may break without a byte of progress, and that its session may be opened again.
MOST_BREAKS: Final = 5
MOST_SESSIONS: Final = 3
#: Seconds to wait after a break, doubled each time.
FIRST_WAIT: Final = 1.0


Wait = Callable[[float], None]


class Content(Protocol):
    """A file's bytes, from any offset."""

    def part(self, offset: int, length: int) -> Body:
        """A request body of the `length` bytes at `offset`."""


@dataclass(frozen=True, slots=True)
class Session:
    """An upload session. The URL is as good as a password."""

    url: str = field(repr=False)
    expected: int  # the next byte


@dataclass(frozen=True, slots=True)
class Uploaded:
    """How an upload ended: done, or with the answer that ended it.

    `unknown` says that the end of the file was sent and no answer came: Graph may have the attachment or not.
    """

    done: bool
    answer: Answer | None  # None: nothing was asked, as the session said that all is there
    unknown: bool = False
    gone: bool = False  # the session is, and nothing was attached
    breaks: int = 0


def open_session(caller: Caller, draft_id: str, file: File) -> Response:
    """Ask for a session for `file`: 201 with its URL."""
    item = {"attachmentType": "file", **file.properties(), "size": file.size}
    path = f"/messages/{quote(draft_id, safe='')}/attachments/createUploadSession"
    return caller.request("POST", path, json.dumps({"AttachmentItem": item}).encode())


def session_of(response: Response) -> Session | None:
    """The session that an answer opens; None if it opens none, or one without TLS."""
    url = response.document.get("uploadUrl")
    if not isinstance(url, str) or urlsplit(url).scheme != "https":
        return None
    return Session(url, next_expected(response.document) or 0)


class Uploader:
    """Uploads files whole, in sessions that `reopen` gives.

    `reopen` and `wait` (which sleeps the seconds it is given) may raise to end an upload.
    """

    def __init__(
        self, caller: Caller, file: File, content: Content, *, reopen: Callable[[], Session], wait: Wait
    ) -> None:
        self.caller, self.file, self.content, self.reopen, self.wait = caller, file, content, reopen, wait
        self.breaks = self.in_a_row = 0

    def run(self) -> Uploaded:
        """Upload the file; whatever breaks on the way is taken up where Graph has it."""
        for _ in range(MOST_SESSIONS):
            ended = self._fill(self.reopen())
            if ended.done or not ended.gone:
                break
        return ended

    def _fill(self, session: Session) -> Uploaded:
        """Send range after range."""
        offset, answer = session.expected, None
        while offset < self.file.size and self.in_a_row <= MOST_BREAKS:
            end = min(offset + RANGE, self.file.size)
            response = self._put(session, offset, end)
            answer = response.answer
            if self._is_whole(response, end):
                return self._ended(answer, done=True)
            if response.status in (200, 202):
                offset = self._progress(offset, next_expected(response.document))
                continue
            if response.status in (404, 410):
                return self._ended(answer, gone=True)
            if not self._may_resume(answer):
                return self._ended(answer)
            state = self._ask(session)
            if state.status == 200:
                offset = self._progress(offset, next_expected(state.document), after_break=True)
            elif state.status in (404, 410):
                attached = end == self.file.size and answer.body_sent
                return self._ended(answer, unknown=attached, gone=not attached)
        return self._ended(answer, unknown=True)

    def _is_whole(self, response: Response, end: int) -> bool:
        if response.status == 200 and end == self.file.size:
            return next_expected(response.document) is None
        return response.status == 201

    def _ended(
        self, answer: Answer | None, *, done: bool = False, unknown: bool = False, gone: bool = False
    ) -> Uploaded:
        return Uploaded(done=done, answer=answer, unknown=unknown, gone=gone, breaks=self.breaks)

    def _progress(self, offset: int, expected: int | None, *, after_break: bool = False) -> int:
        known = offset if expected is None or expected > self.file.size else expected
        if known > offset:
            self.in_a_row = 0
        elif not after_break:  # an answer that moves nothing is a break as well
            self.in_a_row += 1
            self.breaks += 1
        return known

    def _may_resume(self, answer: Answer) -> bool:
        """Whether to go on after an answer that was none, or that asks to wait; waits for it."""
        passing = answer.status is None or answer.status in (408, 409, 416, 429) or answer.status >= 500
        self.breaks += 1
        self.in_a_row += 1
        if not passing or self.in_a_row > MOST_BREAKS:
            return False
        self.wait(max(FIRST_WAIT * 2 ** (self.in_a_row - 1), answer.retry_after or 0.0))
        return True

    def _put(self, session: Session, start: int, end: int) -> Response:
        return self._bare(
            "PUT",
            session,
            self.content.part(start, end - start),
            {
                "Content-Type": "application/octet-stream",
                "Content-Range": f"bytes {start}-{end - 1}/{self.file.size}",
            },
        )

    def _ask(self, session: Session) -> Response:
        return self._bare("GET", session, b"", {})

    def _bare(self, method: str, session: Session, body: Body | bytes, headers: dict[str, str]) -> Response:
        """Make a request with no token: the URL is the authorisation, and any other is refused."""
        reply = self.caller.session.request(
            method, session.url, headers=headers, body=body, timeouts=self.caller.timeouts
        )
        return response_of(
            reply,
            mailbox=self.caller.mailbox,
            body_size=len(body),
            secrets=(session.url, self.caller.token.value),
        )


def next_expected(document: dict[str, Any]) -> int | None:
    """The first byte that is expected next: `["0-"]`, `["2097152"]` and either casing were all seen."""
    ranges = _get(document, "nextexpectedranges")
    first = ranges[0] if isinstance(ranges, list) and ranges else None
    number = first.partition("-")[0].strip() if isinstance(first, str) else ""
    return int(number) if number.isascii() and number.isdigit() and len(number) < 16 else None


def _get(document: dict[str, Any], lower: str) -> Any:
    return next((value for name, value in document.items() if name.lower() == lower), None)
