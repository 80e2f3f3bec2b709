"""Lets a refused client go on: by a form where one of its lists does it, else by advice."""

import re
from ipaddress import ip_address, ip_network
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction

from mailrelay import parsing
from mailrelay.console.devices import refuse_taken
from mailrelay.console.generic import ModelChoiceField
from mailrelay.models import Refusal, SmtpClient

#: Rules that a person can let go here: of an address that is nobody's or not its client's, and of a From or a
#: recipient that is not listed.
ADDRESS, NETWORK, FROM, RECIPIENT = "client", "client-network", "client-from", "client-recipient"
#: Bits of the network around an address that may be allowed instead of it.
AROUND = {4: 24, 6: 64}
#: How the two replies to a recipient that is not listed name it.
_RECIPIENT = re.compile(r"(?:may not send to|and it names) <([^<>]+)>")

#: What parts the words of a list, which an address in quotes may have in it (RFC 5321 section 4.1.2).
_PARTS = re.compile(r"[\s,;]")

_AGAIN = "The client comes again by itself."
ADVICE = {
    "no-sender": "Add the address or its domain to a sender, or make a sender the default.",
    "token-client": "Choose an active SMTP client at the API token.",
    "loop": "Fix the forwarding that sends the mail back.",
    "end-of-data": "Nothing: the mail before was taken, and the client connects again for the next.",
    "bare-lf": "Give the listener, or one of its own, barelf=accept or normalize.",
    "proxy": "Let it connect through the proxy, or name its address by proxy= at the listener.",
    "tls": "Choose STARTTLS or no encryption at the client, or the port of an smtps:// listener.",
    "tls-handshake": "Give the listener a certificate that the client trusts; tls=legacy for an old device.",
    "idempotency-key": "The application has to give each mail a key of its own.",
    "errors": "Fix what the client is refused for: the other rows of this address say what that is.",
    "idling": "Have the client close the session when it has no mail to send.",
    "client-rate": f"{_AGAIN} The limit is on the client's page.",
    "client-backlog": f"{_AGAIN} The mailbox takes more with a higher rate.",
    "backlog": f"{_AGAIN} The mailbox takes more with a higher rate.",
    **dict.fromkeys(("auth", "auth-limit"), "Make a new password on the client's page, and enter it there."),
    **dict.fromkeys(("auth-tls", "tls-required"), "Turn STARTTLS on at the client, or use another listener."),
    **dict.fromkeys(("from-policy", "signed"), "Add the From to the sender, or change its From policy."),
    **dict.fromkeys(
        ("size", "mailbox-size", "sendable-size"),
        "Raise the limit that the reply names, or send less at a time.",
    ),
    **dict.fromkeys(("connections", "client-connections"), f"{_AGAIN} If it lasts, raise the caps."),
    **dict.fromkeys(
        ("bytes-in-transfer", "storage-full", "storage"), f"{_AGAIN} If it lasts, look at disk and database."
    ),
}
_OTHERS = "The reply says what the client does wrong; its administrator has to fix it."
_NOBODYS = "The proxy did not say whose address it is: let it send PROXY headers with one."
_GONE = "There is no such client any more, or it may do it by now."


class AllowForm(forms.Form):
    """What is allowed to whom; `save` gives the client that was changed or made."""

    title = question = ""
    #: The field with what is allowed, and the list of the client that it goes to.
    chosen = column = ""

    def __init__(self, refusal: Refusal, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refusal = refusal

    @property
    def allowed(self) -> str:
        return str(self.cleaned_data[self.chosen])

    def offer(self, *choices: tuple[str, str]) -> None:
        """Let people choose from `choices`, the first of them unless they say otherwise."""
        field = self.fields[self.chosen]
        field.choices = choices  # type: ignore[attr-defined] # of a ChoiceField
        field.initial = choices[0][0]

    def whom(self) -> SmtpClient:
        """Return the client that it is allowed to. The form is valid."""
        return SmtpClient.objects.get(name=self.refusal.client_name)

    def save(self) -> SmtpClient:
        """Store it. The form is valid."""
        return _listed(self.whom(), self.column, self.allowed)


class _NetworkForm(AllowForm):
    chosen, column = "network", "networks"
    network = forms.ChoiceField(label="Allow", widget=forms.RadioSelect)

    def __init__(self, refusal: Refusal, *args: Any, **kwargs: Any) -> None:
        super().__init__(refusal, *args, **kwargs)
        address = ip_address(refusal.address)
        around = ip_network((address, AROUND[address.version]), strict=False)
        self.offer((str(ip_network(address)), f"{address} alone"), (str(around), f"all of {around}"))

    def refuse_of_another_than(self, client: SmtpClient | None) -> None:
        """Add an error where what was chosen is another client's."""
        network = self.cleaned_data.get("network")
        try:
            refuse_taken(network or "", client)
        except ValidationError as taken:
            self.add_error("network", taken)


class AllowAddressForm(_NetworkForm):
    question = "It may send from the next few seconds on, as what you choose here."
    client = ModelChoiceField(
        SmtpClient.objects.filter(active=True, login="").order_by("name"),
        required=False,
        empty_label="A new client",
        label="As part of",
    )
    name = forms.CharField(
        max_length=150, required=False, label="Name of the new client", help_text="What people call it."
    )

    def __init__(self, refusal: Refusal, *args: Any, **kwargs: Any) -> None:
        super().__init__(refusal, *args, **kwargs)
        self.title = refusal.address
        self.fields["name"].initial = f"client at {refusal.address}"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        client, name = cleaned.get("client"), cleaned.get("name", "")
        if client is None and (not name or SmtpClient.objects.filter(name=name).exists()):
            self.add_error("name", "Enter a name that no client has yet, or choose a client above.")
        self.refuse_of_another_than(client)
        return cleaned

    def whom(self) -> SmtpClient:
        client: SmtpClient | None = self.cleaned_data["client"]
        return client or SmtpClient(name=self.cleaned_data["name"])


class _ListForm(AllowForm):
    """Adds to a list of the client that was refused; that one is there, and its list is not empty."""


class AllowNetworkForm(_ListForm, _NetworkForm):
    question = "The client may send from there too, from the next few seconds on."

    def __init__(self, refusal: Refusal, *args: Any, **kwargs: Any) -> None:
        super().__init__(refusal, *args, **kwargs)
        self.title = f"{refusal.client_name} to send from {refusal.address}"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        client = SmtpClient.objects.filter(name=self.refusal.client_name).first()
        if client is not None and not client.login:
            self.refuse_of_another_than(client)
        return cleaned


class _PatternForm(_ListForm):
    chosen = "pattern"
    question = "The client may use it from the next few seconds on, beside what it may use already."
    pattern = forms.ChoiceField(label="Allow", widget=forms.RadioSelect)
    verb = ""

    def __init__(self, refusal: Refusal, *args: Any, **kwargs: Any) -> None:
        super().__init__(refusal, *args, **kwargs)
        address = self.address_of(refusal)
        domain = f"@{address.rpartition('@')[2]}"
        self.title = f"{refusal.client_name} to {self.verb} {address}"
        self.offer((address, f"{address} alone"), (domain, f"all of {domain}"))

    @staticmethod
    def address_of(refusal: Refusal) -> str:
        """Return the address that was refused, in lower case; empty where it cannot be listed."""
        return _listable(refusal.mail_from)


class AllowFromForm(_PatternForm):
    column, verb = "allowed_from", "use"


class AllowRecipientForm(_PatternForm):
    column, verb = "allowed_recipients", "send to"
    question = "The client may send to it from the next few seconds on, beside whom it may reach already."

    @staticmethod
    def address_of(refusal: Refusal) -> str:
        named = _RECIPIENT.search(refusal.reply)
        return _listable(named[1]) if named else ""


def form_for(refusal: Refusal, client: SmtpClient | None) -> type[AllowForm] | None:
    """Choose the form that lets a refusal to `client` go; None where no list of it has to do with that."""
    if refusal.rule in {ADDRESS, NETWORK} and not _is_address(refusal.address):
        return None
    if refusal.rule == ADDRESS:
        return AllowAddressForm
    listed = _LISTS.get(refusal.rule)
    # An empty list allows everything.
    if listed is None or client is None or not getattr(client, listed.column):
        return None
    return None if issubclass(listed, _PatternForm) and not listed.address_of(refusal) else listed


_LISTS: dict[str, type[_ListForm]] = {
    NETWORK: AllowNetworkForm,
    FROM: AllowFromForm,
    RECIPIENT: AllowRecipientForm,
}


def advice_on(refusal: Refusal) -> str:
    """Say what to do about a refusal that `form_for` has no form for."""
    if refusal.rule in {ADDRESS, NETWORK} and not _is_address(refusal.address):
        return _NOBODYS
    return _GONE if refusal.rule in _LISTS else ADVICE.get(refusal.rule, _OTHERS)


def _listable(address: str) -> str:
    """Return an address as a list has it; empty where a list would take it for several, or for none."""
    try:
        return "" if _PARTS.search(address) else parsing.address(address)
    except ValueError:
        return ""


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _listed(row: SmtpClient, column: str, word: str) -> SmtpClient:
    """Add `word` to a list of `row`, once, beside what others add meanwhile, and store that."""
    with transaction.atomic():
        if row.pk:
            row = SmtpClient.objects.select_for_update().get(pk=row.pk)
        setattr(row, column, "\n".join(dict.fromkeys([*getattr(row, column).split(), word])))
        row.save(update_fields=[column] if row.pk else None)
    return row
