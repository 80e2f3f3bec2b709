"""A new device or application in two fields, and the settings that somebody copies into it, shown once."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import QueryDict
from django.utils.text import slugify

from mailrelay.console.fields import NetworksField
from mailrelay.console.sealing import seal, unseal
from mailrelay.models import SmtpClient
from mailrelay.parsing import Network
from mailrelay.routing import passwords

STALE = "This page was open for more than ten minutes. Nothing was done: press the button once more."
TAKEN = "There is a client of this name already. On its own page it gets a new password."


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the device is told about one listener."""

    server: str
    port: int
    encryption: str


def server_settings(*, login: bool) -> Iterator[ServerSettings]:
    """Yield a way for each listener that serves clients with a login, or clients without one."""
    certificate = bool(settings.SMTP_TLS_CERT_FILE)
    for listener in settings.SMTP_LISTENERS:
        serves = listener.takes_logins(certificate=certificate) if login else listener.auth != "required"
        if not serves:
            continue
        encryption = "STARTTLS" if listener.offers_starttls(certificate=certificate) else "none"
        host = settings.SMTP_HOSTNAME if listener.host in {"0.0.0.0", "::"} else listener.host  # noqa: S104
        yield ServerSettings(host, listener.port, "SSL/TLS" if listener.implicit_tls else encryption)


def networks_of_others(client: SmtpClient | None) -> dict[Network, str]:
    """Map each network that another active client is known by to that client's name."""
    others = SmtpClient.objects.filter(active=True, login="")
    if client is not None and client.pk is not None:
        others = others.exclude(pk=client.pk)
    rows = others.values_list("name", "networks")
    return {ip_network(word): name for name, text in rows for word in text.split()}


def refuse_taken(text: str, client: SmtpClient | None) -> None:
    """Raise ValidationError where a network of `text` belongs to another client."""
    taken = networks_of_others(client)
    for word in text.split():
        if (owner := taken.get(ip_network(word))) is not None:
            raise ValidationError(
                f"The network {word} belongs to the client “{owner}”: take it off there first."
            )


class OnceForm(forms.Form):
    """A form that brings the password which it is to give, so that pressed twice it gives the same.

    `purpose` names the page, its object and the person.
    """

    once = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, purpose: str, data: QueryDict | None = None, known: str = "") -> None:
        super().__init__(data)
        sealed = unseal(purpose, data.get("once", "")) if data is not None else None
        self.password = str(sealed["password"]) if sealed else ""
        #: The hash that was to be replaced when the page was made.
        self.known = str(sealed["known"]) if sealed else ""
        if sealed is None:
            once = seal(purpose, {"password": passwords.generate(), "known": known})
            self.initial["once"] = once
            if data is not None:
                self.data = data.copy()
                self.data["once"] = once

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.password:
            raise ValidationError(STALE)
        return cleaned

    def gave(self, row: SmtpClient | None) -> bool:
        """Whether the password of `row` is the one that this form gives."""
        return row is not None and bool(row.login) and passwords.matches(self.password, row.password_hash)


class PasswordForm(OnceForm):
    def give(self, row: SmtpClient) -> bool:
        """Give `row` the password, unless it got another one meanwhile."""
        if self.gave(row):
            return True
        mine = SmtpClient.objects.filter(pk=row.pk, password_hash=self.known).exclude(login="")
        return bool(mine.update(password_hash=passwords.make(self.password)))


class DeviceForm(OnceForm):
    name = forms.CharField(
        max_length=150, help_text="What people call it: printer on floor 3, invoicing, backup of db1."
    )
    networks = NetworksField(
        required=False,
        label="Address",
        help_text="Where it connects from: 192.0.2.7, or a network. It sends without a password then. Empty "
        "makes a user name and a password instead.",
    )
    #: The client, once it was made; and whether that was by this very press.
    made: SmtpClient | None = None
    is_new = False

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if "name" not in cleaned or "networks" not in cleaned:
            return cleaned
        self.made = self._made_before()
        if self.made is None:
            self._refuse_what_cannot_be(cleaned["name"], cleaned["networks"])
        return cleaned

    def save(self) -> SmtpClient:
        """Make the client, once however often it is pressed. The form is valid."""
        if self.made is not None:
            return self.made
        name, networks = self.cleaned_data["name"], self.cleaned_data["networks"]
        row = SmtpClient(name=name, networks=networks)
        if not networks:
            row.login, row.password_hash = _free_login(name), passwords.make(self.password)
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError:
            # The other press of the same button was a moment faster.
            self.made = self._made_before()
            if self.made is None:
                raise
            return self.made
        self.made, self.is_new = row, True
        return row

    def _made_before(self) -> SmtpClient | None:
        """Find the client that an earlier press of the same button made."""
        row = SmtpClient.objects.filter(name=self.cleaned_data["name"]).first()
        networks = self.cleaned_data["networks"]
        if networks and row is not None:
            return row if not row.login and row.networks == networks else None
        return row if self.gave(row) else None

    def _refuse_what_cannot_be(self, name: str, networks: str) -> None:
        if SmtpClient.objects.filter(name=name).exists():
            self.add_error("name", TAKEN)
        if networks:
            try:
                refuse_taken(networks, None)
            except ValidationError as taken:
                self.add_error("networks", taken)
        elif next(server_settings(login=True), None) is None:
            self.add_error(
                "networks",
                "No listener takes a user name and a password: give SMTP_LISTENERS a certificate "
                "(SMTP_TLS_CERT_FILE), or enter the address that the device connects from.",
            )


def _free_login(name: str) -> str:
    """Make a user name of `name` that nobody has yet."""
    stem = slugify(name) or "device"
    taken = {login.lower() for login in SmtpClient.objects.exclude(login="").values_list("login", flat=True)}
    number, login = 1, stem
    while login in taken:
        number += 1
        login = f"{stem}-{number}"
    return login
