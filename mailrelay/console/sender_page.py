"""The page of a sender at work: test mail, pause, limits and their use, and what Microsoft permits."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from mailrelay.console import cells, trial
from mailrelay.console.message_search import time_of
from mailrelay.models import AppRegistration, Delivery, Mailbox, Message, SenderConfig, SendLog
from mailrelay.models.encrypted import WrongFieldKeyError
from mailrelay.models.messages import IN_FLIGHT
from mailrelay.outbox.db import clock
from mailrelay.outbox.errors import OutboxError
from mailrelay.outbox.operators import pausing
from mailrelay.outbox.rules import limits
from mailrelay.outbox.submission import new_queue_id
from mailrelay.status import workers
from mailrelay.status.deliveries import chosen, of_delivery
from mailrelay.status.words import outcome_words, state_words
from mailrelay.vocabulary import FINAL_STATES, State

#: States of a test mail in which looking again shows nothing new.
DECIDED = (*FINAL_STATES, State.HELD)
#: Seconds after which the page of a test mail that is under way is loaded again.
AGAIN = 2
WRITE = "Mail.ReadWrite"


class TestForm(forms.Form):
    recipient = forms.EmailField(label="To", max_length=254)
    test_id = forms.UUIDField(widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        try:
            time_of(cleaned["test_id"])
        except (KeyError, ValueError):
            raise forms.ValidationError("Load the page again: it is not as it was sent to you.") from None
        return cleaned


class PauseForm(forms.Form):
    reason = forms.CharField(
        max_length=300,
        label="Why",
        help_text="It goes on the audit list and stands beside each message that is held for it.",
    )


@dataclass(frozen=True, slots=True)
class Use:
    """One limit: its name, what of it is used, and where it stands."""

    name: str
    used: int
    limit: int
    unit: str = ""

    @property
    def text(self) -> str:
        if not self.limit:
            return f"{self._say(self.used)}, no limit"
        return f"{self._say(self.used)} of {self._say(self.limit)}"

    @property
    def share(self) -> int:
        """How much of the limit is used, in hundredths, 100 at most."""
        return min(100, self.used * 100 // self.limit) if self.limit else 0

    def _say(self, number: int) -> str:
        return cells.size(number) if self.unit == "bytes" else f"{number:,}"


class SenderPage:
    """The page of one sender for one person, who may do what it offers; `log` writes the history."""

    def __init__(self, sender: SenderConfig, request: HttpRequest, log: Callable[[str], object]) -> None:
        self.sender, self.request, self._log = sender, request, log
        self._steps = {"test": self._test, "pause": self._pause, "resume": self._resume, "probe": self._probe}

    def respond(self, context: dict[str, Any], *, may_operate: bool) -> HttpResponse:
        found: dict[str, Any] = {}
        if self.request.method == "POST":
            step = self._steps.get(self.request.POST.get("step", ""))
            answer = step() if step is not None else HttpResponseRedirect(self.request.path)
            if isinstance(answer, HttpResponse):
                return answer
            found = answer
        sender = self.sender
        page = {
            "sender": sender,
            "back": reverse("admin:mailrelay_senderconfig_change", args=[sender.pk]),
            "mailbox_link": reverse("admin:mailrelay_mailbox_change", args=[sender.mailbox_id]),
            "registration_link": reverse(
                "admin:mailrelay_appregistration_change", args=[sender.mailbox.registration_id]
            ),
            "may_operate": may_operate,
            "takes_mail": trial.takes_mail(sender),
            "limits": list(_uses(sender.mailbox)),
            "test_form": TestForm(
                initial={"test_id": new_queue_id(), "recipient": getattr(self.request.user, "email", "")}
            ),
            "pause_form": PauseForm(),
            "test": self._tested(),
            "again": AGAIN,
        }
        return TemplateResponse(self.request, "console/sender.html", {**context, **page, **found})

    # --- The steps -------------------------------------------------------------------------------------

    def _test(self) -> HttpResponse | dict[str, Any]:
        form = TestForm(self.request.POST)
        if not form.is_valid():
            return {"test_form": form}
        recipient, test_id = form.cleaned_data["recipient"], form.cleaned_data["test_id"]
        reply = trial.send(self.request, self.sender, recipient, test_id)
        if not reply.positive:
            form.add_error(None, f"The test mail was refused: {reply.line}")
            return {"test_form": form}
        self._log(f"Test mail to {recipient}.")
        return HttpResponseRedirect(f"{self.request.path}?test={trial.queue_id_of(reply)}#test")

    def _pause(self) -> HttpResponse | dict[str, Any]:
        form = PauseForm(self.request.POST)
        if not form.is_valid():
            return {"pause_form": form}
        reason = form.cleaned_data["reason"]
        actor = self.request.user.get_username()
        return self._moved(
            lambda: pausing.pause(self.sender, actor, reason),
            f"Paused: {reason}",
            "Paused. Mail is accepted and held; what a worker has in hand already goes on.",
        )

    def _resume(self) -> HttpResponse:
        return self._moved(
            lambda: pausing.resume(self.sender), "Resumed.", "Resumed. What was held for the pause goes out."
        )

    def _moved(self, move: Callable[[], bool], history: str, told: str) -> HttpResponse:
        try:
            if move():
                self._log(history)
                messages.success(self.request, told)
            else:
                messages.warning(self.request, "It was left as before: this was done already.")
        except OutboxError as error:
            messages.error(self.request, f"It was not done: {error}")
        return HttpResponseRedirect(self.request.path)

    def _probe(self) -> dict[str, Any]:
        """Ask Microsoft what the sender's application may do in its mailbox."""
        # Here, since the parts that talk to Microsoft cost memory that no other page needs.
        from mailrelay.delivery.credential_test import prove
        from mailrelay.delivery.credentials import credential_of, servable

        try:
            registration = AppRegistration.objects.get(pk=self.sender.mailbox.registration_id)
        except WrongFieldKeyError as error:
            return {"probe_problem": str(error)}
        if not servable(registration):
            text = "This process lacks the variables of the environment's sender, and cannot ask. "
            return {"probe_problem": f"{text}Run manage.py doctor where a worker runs."}
        findings = prove(credential_of(registration), [self.sender.mailbox], drafts=True)
        return {"probe": findings, "permissions": list(_permissions(findings, self.sender.mailbox.address))}

    # --- What the page shows ---------------------------------------------------------------------------

    def _tested(self) -> dict[str, Any] | None:
        """Tell how the test mail that the address of the page names fares."""
        try:
            queue_id = UUID(self.request.GET.get("test", ""))
        except ValueError:
            return None
        message = Message.objects.filter(pk=queue_id, sender=self.sender).first()
        if message is None or not self.request.user.has_perm("mailrelay.view_message"):
            return None
        now = clock.now()
        part = chosen(message=message).first()
        words = state_words(message.state)
        status = of_delivery(part, now, workers.served_queues(now)) if part is not None else None
        return {
            "message": message,
            "badge": cells.badge(words.title, words.tone),
            "status": status,
            "when": cells.moment(status.next_at, now) if status and status.next_at else "",
            "attempts": [_attempt(row) for row in SendLog.objects.filter(message=message).order_by("pk")],
            "decided": message.state in DECIDED,
            "link": reverse("admin:mailrelay_message_change", args=[message.pk]),
        }


def _attempt(row: SendLog) -> dict[str, Any]:
    words = outcome_words(row.outcome)
    took = f"{row.duration_ms / 1000:.2f} s" if row.duration_ms is not None else ""
    return {"row": row, "badge": cells.badge(words.title, words.tone), "took": took}


def _uses(mailbox: Mailbox) -> Iterator[Use]:
    """Say what of each limit of a mailbox is used now."""
    now = clock.now()
    running = Delivery.objects.filter(IN_FLIGHT, mailbox=mailbox).count()
    used = limits.used(mailbox, now)
    minute = mailbox.messages_per_minute
    yield Use("Requests in flight", running, mailbox.concurrency)
    yield Use(
        "Messages of the bucket of a minute", minute - limits.left(mailbox, now) if minute else 0, minute
    )
    yield Use("Requests in 10 minutes", used["requests_per_10_minutes"], mailbox.requests_per_10_minutes)
    yield Use("Recipients in 24 hours", used["recipients_per_day"], mailbox.recipients_per_day)
    uploaded = used["upload_bytes_per_5_minutes"]
    yield Use("Upload in 5 minutes", uploaded, mailbox.upload_bytes_per_5_minutes, "bytes")


def _permissions(findings: Any, address: str) -> Iterator[tuple[str, str, str]]:
    """Put what was found into words: the permission, the tone of its badge with the word, a sentence."""
    (box,) = findings.mailboxes or (None,)
    if not findings.has_token or box is None:
        return
    roles = findings.roles or ()
    if box.takes_mail:
        yield "Mail.Send", "good", f"Granted: Graph takes mail for {address}."
    elif box.takes_mail is None:
        yield "Mail.Send", "waiting", f"Not known: {box.sentence} {box.advice}"
    else:
        yield "Mail.Send", "bad", f"Not usable: {box.sentence} {box.advice}"
    yield ("Scope", *_scope("Mail.Send" in roles))
    if box.takes_mail:
        yield (WRITE, *_drafts(box.may_draft, everywhere=WRITE in roles))


def _scope(everywhere: bool) -> tuple[str, str]:
    if everywhere:
        return "waiting", (
            "The token names Mail.Send, which was consented to in Entra ID for every mailbox of the tenant. "
            "RBAC for Applications in Exchange Online narrows it to some."
        )
    return "good", (
        "The token does not name Mail.Send, so that what is granted was granted by mailbox, through RBAC for "
        "Applications."
    )


def _drafts(may_draft: bool | None, *, everywhere: bool) -> tuple[str, str]:
    if may_draft:
        how = "in the token" if everywhere else "a draft was made and deleted"
        return "good", f"Granted ({how}): mail of more than 3 MB can go out by draft and upload."
    if may_draft is None:
        return "waiting", "Not known: Graph's answer said nothing of permissions."
    return "quiet", (
        "Not granted: mail of more than 3 MB is refused in the SMTP session. Grant it where such mail is "
        "to be sent."
    )
