"""Security headers of each answer, and the true address of the client behind proxies."""

import ipaddress
import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

#: Scripts, styles and images are this site's own files; nothing inline, nothing of others, no frames.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: Two years, what browsers ask for before they take a host into their lists.
HSTS = "max-age=63072000"
#: Some proxies, Azure's Application Gateway among them, write the port too, another one for each connection.
_WITH_PORT = re.compile(r"\[(?P<six>[^\]]+)\](?::\d+)?|(?P<four>[\d.]+):\d+")

Respond = Callable[[HttpRequest], HttpResponseBase]


class HeadersMiddleware:
    """Adds the headers; a view that needs another Content-Security-Policy sets its own."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.respond(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        if settings.WEB_HTTPS:
            # Behind a proxy that ends TLS, this process sees http; over http browsers ignore the header
            # (RFC 6797 section 8.1).
            response.headers.setdefault("Strict-Transport-Security", HSTS)
        return response


def client_address(request: HttpRequest) -> str:
    """Return the address of the browser: the last in X-Forwarded-For that WEB_TRUSTED_PROXIES did not add."""
    address = _plain(str(request.META.get("REMOTE_ADDR", "")))
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    while hops and _is_proxy(address):
        address = _plain(hops.pop())
    return address[:64]


def _plain(text: str) -> str:
    """Give an address in its one form; what is none stays as it is."""
    found = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address((found["six"] or found["four"]) if found else text)
    except ValueError:
        return text
    return str(getattr(address, "ipv4_mapped", None) or address)


def _is_proxy(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in settings.WEB_TRUSTED_PROXIES)
