"""The listener: who can reach it, and who may send through it."""

import ipaddress
from collections.abc import Iterator

from django.conf import settings

from mailrelay.diagnosis.findings import Check, Finding
from mailrelay.parsing import networks
from mailrelay.routing.loading import load
from mailrelay.routing.table import Client, IPNetwork

CHECK = Check("listener")
NARROWER = (
    "Set SMTP_ALLOWED_NETWORKS to the networks of your clients, such as 10.20.0.0/24,10.20.7.9/32, or keep "
    "strangers out with a NetworkPolicy or a firewall."
)


def reach() -> Iterator[Finding]:
    """Say for the listener's addresses who can reach them and who is let in."""
    shown = ", ".join(listener.name for listener in settings.SMTP_LISTENERS)
    if all(listener.loopback for listener in settings.SMTP_LISTENERS):
        yield CHECK.ok(f"{shown} takes mail from this machine alone.")
        return
    # Who logs in is known by its password.
    clients = [client for client in load().clients if not client.login]
    certificate = bool(settings.SMTP_TLS_CERT_FILE)
    logins = [one.name for one in settings.SMTP_LISTENERS if one.takes_logins(certificate=certificate)]
    if logins:
        yield CHECK.ok(f"{len(load().clients) - len(clients)} clients may log in on {', '.join(logins)}.")
    if not logins and all(network.is_loopback for client in clients for network in client.networks):
        yield CHECK.problem(
            f"{shown} listens beyond this machine, but nobody there may send: the listener does not start.",
            "Set SMTP_ALLOWED_NETWORKS to the networks of your clients, or add an SMTP client in the admin.",
        )
        return
    for client in clients:
        yield from _of(client, shown)


def _of(client: Client, shown: str) -> Iterator[Finding]:
    wide = [network for network in client.networks if _is_internet(network)]
    listed = ", ".join(map(str, client.networks[:8])) + (" …" if len(client.networks) > 8 else "")
    if wide:
        everybody = ", ".join(map(str, wide))
        yield CHECK.problem(
            f"{shown} is an open relay: {client.name} lets in {everybody}, without a password.",
            NARROWER,
        )
    elif set(networks("private")) <= set(client.networks):
        yield CHECK.warning(
            f"{client.name} is `private`: EVERY host with an address in {listed} that reaches {shown} may "
            "send as your senders, without a password.",
            NARROWER,
        )
    elif client.networks:
        limit = f", from {len(client.allowed_from)} addresses or domains" if client.allowed_from else ""
        yield CHECK.ok(f"{client.name} may send from {listed}{limit}.")


def _is_internet(network: IPNetwork) -> bool:
    """Whether `network` is so wide that it must hold strangers: wider than a /8, or than an IPv6 /16."""
    if network.version == 4:
        return network.prefixlen < 8
    return network.prefixlen < 16 and not network.subnet_of(ipaddress.IPv6Network("fc00::/7"))
