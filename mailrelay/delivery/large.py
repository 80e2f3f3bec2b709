"""The large route: a draft of the skeleton, its leaves one after the other, and only then the sending.

Whatever fails before the last step has sent nothing. What the last step came to is told by the draft itself.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from django.conf import settings
from django.db import DatabaseError

from mailrelay.database import drop_connection_after
from mailrelay.delivery import access, tokens
from mailrelay.delivery.answers import counted, judged
from mailrelay.delivery.large_refusals import TOO_SMALL, again, is_about_form, refused
from mailrelay.delivery.plan import Plan
from mailrelay.delivery.results import inseparable, removed, result_of
from mailrelay.graph import drafts, uploads
from mailrelay.graph.answer import Answer
from mailrelay.graph.calls import Caller, Response
from mailrelay.graph.credentials import Credential
from mailrelay.graph.drafts import DraftState, File
from mailrelay.graph.http import Timeouts
from mailrelay.graph.tokens import TokenUnavailable
from mailrelay.graph.verdict import Verdict
from mailrelay.mime.archive import Archive
from mailrelay.mime.base64stream import Base64Body
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.leaves import LeafContent, LeafReader
from mailrelay.mime.resource import as_resource
from mailrelay.mime.skeleton import Leaf, NotSeparableError
from mailrelay.models import Delivery
from mailrelay.outbox.claiming import leases
from mailrelay.outbox.claiming.leases import Attempt
from mailrelay.outbox.db import failpoints
from mailrelay.outbox.errors import ContentRemovedError, OutboxError
from mailrelay.outbox.result import Result
from mailrelay.outbox.settling import settle
from mailrelay.vocabulary import Blame, LargeText, Outcome, Reason

log = logging.getLogger(__name__)

UNSENT = "The database was out of reach, or the lease lost, before the draft was sent; nothing was sent."
#: Seconds that one wait within an attempt may take; what asks for more is deferred as a whole.
LONGEST_WAIT = 60.0
#: Times that one step is tried when Graph is busy.
TRIES = 4


class _Ended(Exception):  # noqa: N818 - the end of an attempt, with what it came to
    def __init__(self, result: Result, *, too_small: bool = False) -> None:
        super().__init__(result.sentence)
        self.result = result
        self.too_small = too_small  # Graph opens no upload session for so little


class _FormRefused(Exception):  # noqa: N818 - likewise
    """Graph takes no MIME for a draft, or no upload into such a draft."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def send(
    delivery: Delivery, credential: Credential, plan: Plan, attempt: Attempt, ending: threading.Event
) -> Result:
    """Carry out an attempt that is on record. `ending` is set when the process has to stop."""
    return _Attempt(delivery, credential, plan, attempt, ending).run()


def send_draft(
    delivery: Delivery, credential: Credential, attempt: Attempt, draft_id: str, ending: threading.Event
) -> Result:
    """Carry out an attempt that has its draft from an earlier one, whole."""
    return _Attempt(delivery, credential, None, attempt, ending).run(draft_id)


class _Attempt:
    def __init__(
        self,
        delivery: Delivery,
        credential: Credential,
        plan: Plan | None,
        attempt: Attempt,
        ending: threading.Event,
    ) -> None:
        self.delivery, self.credential, self.plan = delivery, credential, plan
        self.attempt, self.ending = attempt, ending
        self.draft_id = ""
        self.plain = False  # the draft is made of Graph's resource, since it takes no MIME

    def run(self, draft_id: str = "") -> Result:
        self.draft_id = draft_id
        try:
            if self.plan is not None:
                self._fill_by_some_form(self.plan)
            leases.note_draft(self.attempt, self.draft_id, complete=True)
        except _Ended as ended:
            self._remove()
            return ended.result
        except ContentRemovedError as error:
            self._remove()
            return removed(error)
        except (OutboxError, DatabaseError) as error:
            drop_connection_after(error)
            self._remove()
            return Result(Outcome.TRANSIENT, UNSENT, Blame.MESSAGE, Reason.SERVER_ERROR)
        failpoints.hit(failpoints.DRAFT_WHOLE)
        return self._send()

    def _fill_by_some_form(self, plan: Plan) -> None:
        try:
            self._fill(plan)
        except _FormRefused as form:
            log.warning("no MIME draft here: %s", form.sentence, extra=self._extra)
            self._remove()
            self.draft_id = ""
            self._fill_plain(plan)

    def _fill(self, plan: Plan) -> None:
        """Make a draft with everything in it."""
        mail = plan.mail
        self._create(lambda caller: drafts.create_from_mime(caller, Base64Body(mail.parts, mail.size)))
        assert plan.skeleton is not None
        assert plan.content is not None
        for leaf in plan.skeleton.leaves:
            self._add(leaf, LeafReader(plan.content, leaf.start, leaf.end, leaf.encoding))

    def _fill_plain(self, plan: Plan) -> None:
        """Make a draft of Graph's own resource, and say on the timeline what is lost by it."""
        assert plan.content is not None
        try:
            headers = HeaderBlock.parse(bytes(plan.mail.parts[0]))
            resource = as_resource(plan.content, headers, LargeText(self.delivery.sender.large_text))
        except NotSeparableError as error:
            raise _Ended(inseparable(error)) from None
        self._create(lambda caller: drafts.create_from_json(caller, resource.message))
        losses = "; ".join(resource.losses) or "Exchange builds its structure itself"
        settle.add_note(
            self.delivery, f"Graph takes no MIME for a draft here, so the mail is changed: {losses}."
        )
        for leaf in resource.leaves:
            self._add(leaf, LeafReader(plan.content, leaf.start, leaf.end, leaf.encoding))

    def _create(self, request: Callable[[Caller], Response]) -> None:
        leases.note_asked(self.attempt)
        try:
            response = self._step(request, "create a draft")
        except _Ended as ended:
            status = ended.result.http_status
            if status is not None and status < 500 and status != 408:
                leases.note_draft(self.attempt, "")  # refused: there is none to look for
            raise
        self.draft_id = str(response.document.get("id") or "")
        if not self.draft_id:
            raise _Ended(again(response.answer, "Graph made a draft and did not say which."))
        leases.note_draft(self.attempt, self.draft_id)

    def _add(self, leaf: Leaf, reader: LeafReader) -> None:
        """Put a leaf into the draft, by the way that its size asks for."""
        file = File(leaf.name, leaf.content_type, leaf.size, leaf.content_id, leaf.inline)
        if drafts.fits_one_request(file):
            self._step(
                lambda caller: drafts.attach(
                    caller, self.draft_id, file, Base64Body(LeafContent(reader), leaf.size)
                ),
                "attach a file",
            )
            return
        try:
            self._upload(file, reader)
        except _Ended as ended:
            if not ended.too_small:
                raise
            self._upload_archived(file, reader)

    def _upload_archived(self, file: File, reader: LeafReader) -> None:
        """Send a file that is too large for a request and too small for an upload: in a larger archive."""
        archive = Archive(file.name, reader, file.size, drafts.SESSION_MINIMUM)
        self._upload(File(f"{file.name}.zip", "application/zip", archive.size), archive)
        settle.add_note(
            self.delivery,
            f"Microsoft takes no file of {file.size} bytes: too many for one request, too few for an upload. "
            "It travels in a ZIP archive, unchanged.",
        )

    def _upload(self, file: File, content: uploads.Content) -> None:
        uploader = uploads.Uploader(
            self._caller(), file, content, reopen=lambda: self._session(file), wait=self._wait
        )
        uploaded = uploader.run()
        if uploaded.breaks:
            log.info("an upload broke %d times", uploaded.breaks, extra=self._extra)
        if uploaded.unknown or uploaded.answer is None:
            text = "Graph did not say whether it has the end of an attachment; all is uploaded again."
            raise _Ended(again(uploaded.answer, text))
        counted(uploaded.answer)
        if not uploaded.done:
            raise self._refused(uploaded.answer, "upload a file")

    def _session(self, file: File) -> uploads.Session:
        response = self._step(
            lambda caller: uploads.open_session(caller, self.draft_id, file), "open an upload session"
        )
        session = uploads.session_of(response)
        if session is None:
            raise _Ended(again(response.answer, "Graph opened an upload session and did not say where."))
        return session

    def _send(self) -> Result:
        try:
            response, verdict = self._sent()
        except _Ended as ended:
            return self._unless_sent(ended.result)
        result = result_of(verdict, response.answer)
        if verdict.outcome is Outcome.UNCERTAIN:
            return self._found_sent(result) if self._state() is DraftState.SENT else result
        return result if verdict.outcome is Outcome.SENT else self._unless_sent(result)

    def _unless_sent(self, result: Result) -> Result:
        """Remove a draft whose sending was refused; unless an earlier request has sent it after all.

        It keeps its id then, and is the copy in Sent Items.
        """
        state = self._state()
        if state is DraftState.SENT:
            return self._found_sent(result)
        if state is DraftState.OPEN:
            self._remove()
        return result

    @staticmethod
    def _found_sent(result: Result) -> Result:
        text = "Graph did not say that it sent the draft, but the draft does."
        return replace(result, outcome=Outcome.SENT, blame=Blame.NOBODY, sentence=text, advice="")

    def _state(self) -> DraftState | None:
        try:
            return drafts.state(self._caller(), self.draft_id)[0]
        except _Ended:  # no token: asked again before anything is sent again
            return None

    def _sent(self) -> tuple[Response, Verdict]:
        """Send the draft; again where Graph has certainly not and asks for a rest or another token."""
        fresh, caller = False, self._caller()
        for tried in range(1, TRIES + 1):
            response = drafts.send(caller, self.draft_id)
            verdict = judged(response.answer, token_is_fresh=fresh, about_draft=True)
            if verdict.retry_token and not fresh:
                fresh, caller = True, self._caller(verdict)
            elif verdict.outcome is Outcome.TRANSIENT and response.status in (429, 503) and tried < TRIES:
                self._rest(verdict, 2.0**tried)
            else:
                break
        return response, verdict

    def _step(self, request: Callable[[Caller], Response], what: str) -> Response:
        """Make one request until it is done or refused for good. Nothing is sent by any of them."""
        fresh, caller = False, self._caller()
        for tried in range(1, TRIES + 1):
            response = request(caller)
            if response.status in (200, 201, 204) and response.answer.is_graph:
                counted(response.answer)
                return response
            verdict = judged(response.answer, token_is_fresh=fresh)
            if verdict.retry_token and not fresh:
                fresh, caller = True, self._caller(verdict)
            elif response.status in (429, 503) and tried < TRIES:
                self._rest(verdict, 2.0**tried)
            else:
                break
        raise self._refused(response.answer, what, fresh=fresh)

    def _refused(self, answer: Answer, what: str, *, fresh: bool = False) -> Exception:
        if not self.plain and is_about_form(answer):
            self.plain = True
            return _FormRefused(answer.message or f"HTTP {answer.status}")
        if answer.status == 403:
            access.denied(self.delivery.mailbox)
        return _Ended(refused(answer, what, fresh=fresh), too_small=TOO_SMALL in answer.codes)

    def _rest(self, verdict: Verdict, wait: float) -> None:
        """Wait as Graph asks, and let nothing else through this mailbox meanwhile."""
        settle.pause(self.delivery.mailbox_id, verdict.sentence, verdict.retry_after)
        self._wait(verdict.retry_after or wait)

    def _wait(self, seconds: float) -> None:
        if seconds > LONGEST_WAIT or self.ending.wait(seconds):
            why = (
                "The process ends" if self.ending.is_set() else f"Microsoft asks for {seconds:.0f} s of rest"
            )
            text = f"{why}: what was uploaded is given up, nothing was sent."
            raise _Ended(
                Result(Outcome.TRANSIENT, text, Blame.MAILBOX, Reason.THROTTLED, retry_after=seconds)
                if not self.ending.is_set()
                else Result(Outcome.TRANSIENT, text, Blame.MESSAGE, Reason.SERVER_ERROR)
            )

    def _caller(self, refused: Verdict | None = None) -> Caller:
        """Who asks, with a token that is good; a fresh one after `refused`."""
        session, store = tokens.graph_clients()
        try:
            token = tokens.token_for(self.credential)
            if refused is not None:
                store.invalidate(self.credential, token.value, claims=refused.claims)
                token = tokens.token_for(self.credential)
        except TokenUnavailable as unavailable:
            raise _Ended(result_of(unavailable.verdict)) from None
        timeouts = Timeouts(total=float(settings.GRAPH_TIMEOUT))
        user = self.delivery.mailbox.graph_user
        return Caller(session, token, self.credential, user, self.attempt.client_request_id, timeouts)

    def _remove(self) -> None:
        """Leave no draft behind; what cannot be removed now is found by its record later."""
        if not self.draft_id:
            return
        try:
            response = drafts.delete(self._caller(), self.draft_id)
            if response.status in (204, 404):
                leases.note_draft(self.attempt, "")
        except (_Ended, OutboxError, DatabaseError) as error:
            log.info("a draft stays for the sweep (%s)", type(error).__name__, extra=self._extra)

    @property
    def _extra(self) -> dict[str, str]:
        return {"message_id": self.delivery.message.queue_id}
