"""Forms that ask before messages are acted on: why, and what else the action needs."""

from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError

from mailrelay.console.generic import ModelChoiceField
from mailrelay.models import SenderConfig


class Asked(forms.CharField):
    """The messages that a question is about, each with how many attempts it had when it was asked."""

    widget = forms.HiddenInput

    def to_python(self, value: Any) -> Any:
        """Read what `packed_ids` wrote; returns attempts by message id. Raises ValidationError."""
        pairs = (pair.partition(":") for pair in str(value or "").split(",") if pair)
        try:
            return {UUID(pk): int(seen) for pk, _, seen in pairs}
        except ValueError:
            raise ValidationError("Begin again from the list of messages.") from None


def packed_ids(asked: dict[UUID, int]) -> str:
    return ",".join(f"{pk.hex}:{seen}" for pk, seen in asked.items())


class Question(forms.Form):
    """Asked of every action. `once` tells a second press from another request."""

    why = forms.CharField(
        label="Why",
        max_length=200,
        help_text="Stays on the timeline and in the audit list",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    asked = Asked()
    once = forms.UUIDField(widget=forms.HiddenInput)


class _SenderChoice(ModelChoiceField[SenderConfig]):
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} ({obj.mailbox.address})"


class SenderQuestion(Question):
    sender = _SenderChoice(
        SenderConfig.objects.filter(active=True).select_related("mailbox").order_by("name"), empty_label=None
    )
    field_order = ("sender", "why")


class ForwardQuestion(Question):
    recipient = forms.EmailField(label="Recipient")
    field_order = ("recipient", "why")
