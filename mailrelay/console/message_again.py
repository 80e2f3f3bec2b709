"""Sending a message anew from its page: once more, through another sender, or to somebody else."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest

from mailrelay.models import Message, SenderConfig
from mailrelay.outbox import again, scheduler
from mailrelay.outbox.errors import OutboxError
from mailrelay.outbox.submission import new_queue_id
from mailrelay.vocabulary import State

LEFT = "It was left as before: this was done already, or it is not in a state that this changes."


class AgainForm(forms.Form):
    """A question whose answer sends something; pressed twice it acts once."""

    title = question = warning = button = done = ""

    def act(self, message: Message, actor: str) -> bool:
        """Do it; return whether anything moved. Raises OutboxError."""
        raise NotImplementedError


class ResendForm(AgainForm):
    title = "Send once more"
    question = "What was sent of this message is sent again, at the mailbox's pace."
    warning = "It has been sent: every recipient gets a second copy."
    button = "Send a second copy"
    done = "The message was queued once more."
    seen = forms.IntegerField(widget=forms.HiddenInput)

    def act(self, message: Message, actor: str) -> bool:
        return again.resend(message.pk, actor, self.cleaned_data["seen"]) > 0


class SenderChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} ({obj.mailbox.address})"


class ChangeSenderForm(AgainForm):
    title = "Use another sender"
    question = "What failed, is held or waits to be tried again is queued at once for the sender chosen here."
    button = "Queue it for this sender"
    done = "The message was queued for the other sender."
    sender = SenderChoice(
        SenderConfig.objects.filter(active=True).select_related("mailbox").order_by("name"), empty_label=None
    )

    def act(self, message: Message, actor: str) -> bool:
        return again.change_sender(message.pk, actor, self.cleaned_data["sender"]) > 0


class ForwardForm(AgainForm):
    title = "Forward"
    question = "A copy goes to the address below alone, as a message of its own through the same sender."
    button = "Forward it"
    done = "A copy was queued."
    recipient = forms.EmailField(label="Recipient")
    new_id = forms.UUIDField(widget=forms.HiddenInput)

    def act(self, message: Message, actor: str) -> bool:
        return again.forward(message, actor, self.cleaned_data["recipient"], self.cleaned_data["new_id"])


FORMS: dict[str, type[AgainForm]] = {
    "resend": ResendForm,
    "sender": ChangeSenderForm,
    "forward": ForwardForm,
}


def offered(message: Message, states: list[str], *, may_read: bool) -> list[tuple[str, str]]:
    """List (name, label) of what can be sent anew; forwarding shows content, and is for who may read it."""
    if message.content_removed_at is not None:
        return []
    names = []
    if State.SENT in states:
        names.append("resend")
    if set(states) & set(again.MOVABLE):
        names.append("sender")
    if may_read:
        names.append("forward")
    return [(name, FORMS[name].title) for name in names]


def blank(name: str, pk: UUID) -> AgainForm:
    """Make the form as the page first shows it, with what tells a second press from the first."""
    return FORMS[name](initial={"seen": again.attempts_of(pk), "new_id": new_queue_id()})


def act(request: HttpRequest, form: AgainForm, message: Message) -> None:
    """Do what a valid `form` asks, and say what came of it."""
    try:
        moved = form.act(message, request.user.get_username())
    except OutboxError as error:
        messages.error(request, str(error))
        return
    finally:
        scheduler.poke()
    if moved:
        messages.success(request, form.done)
    else:
        messages.warning(request, LEFT)
