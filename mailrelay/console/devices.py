"""A new device or application in two fields, and the settings that somebody copies into it, shown once."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.text import slugify

from gateway.env import Network
from mailrelay.console.fields import NetworksField
from mailrelay.models import SmtpClient
from mailrelay.routing import passwords


@dataclass(frozen=True, slots=True)
class WayIn:
    """What the device is told of one listener."""

    server: str
    port: int
    encryption: str


def ways_in(*, login: bool) -> Iterator[WayIn]:
    """Yield a way for each listener that serves clients with a login, or clients without one."""
    certificate = bool(settings.SMTP_TLS_CERT_FILE)
    for listener in settings.SMTP_LISTENERS:
        serves = listener.takes_logins(certificate=certificate) if login else listener.auth != "required"
        if not serves:
            continue
        encryption = "STARTTLS" if listener.offers_starttls(certificate=certificate) else "none"
        host = settings.SMTP_HOSTNAME if listener.host in {"0.0.0.0", "::"} else listener.host  # noqa: S104
        yield WayIn(host, listener.port, "SSL/TLS" if listener.implicit_tls else encryption)


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


class DeviceForm(forms.Form):
    name = forms.CharField(
        max_length=150, help_text="What people call it: printer on floor 3, invoicing, backup of db1."
    )
    networks = NetworksField(
        required=False,
        label="Address",
        help_text="Where it connects from: 192.0.2.7, or a network. It sends without a password then. Empty "
        "makes a user name and a password instead.",
    )

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if SmtpClient.objects.filter(name=name).exists():
            raise ValidationError("There is a client of this name already.")
        return name

    def clean_networks(self) -> str:
        text = str(self.cleaned_data["networks"])
        refuse_taken(text, None)
        return text

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        by_login = "networks" in cleaned and not cleaned["networks"]
        if by_login and next(ways_in(login=True), None) is None:
            self.add_error(
                "networks",
                "No listener takes a user name and a password: give SMTP_LISTENERS a certificate "
                "(SMTP_TLS_CERT_FILE), or enter the address that the device connects from.",
            )
        return cleaned

    def create(self) -> tuple[SmtpClient, str]:
        """Make the client; return it and its password, which is kept nowhere. Empty is none."""
        name, networks = self.cleaned_data["name"], self.cleaned_data["networks"]
        row, password = SmtpClient(name=name, networks=networks), ""
        if not networks:
            password = passwords.generate()
            row.login, row.password_hash = _free_login(name), passwords.make(password)
        row.save()
        return row, password


def _free_login(name: str) -> str:
    """Make a user name of `name` that nobody has yet."""
    stem = slugify(name) or "device"
    taken = {login.lower() for login in SmtpClient.objects.exclude(login="").values_list("login", flat=True)}
    number, login = 1, stem
    while login in taken:
        number += 1
        login = f"{stem}-{number}"
    return login
