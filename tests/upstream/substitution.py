"""A pytest plugin for aiosmtpd's own tests: its protocol class is ours, made from its arguments.

Replies are compared by their codes: ours have enhanced codes and other words. What a handler of theirs would
do is done for `handle_DATA` alone, which stands for the queue of record; their other hooks do not exist here.
"""

import asyncio
import concurrent.futures
from ipaddress import ip_network
from types import SimpleNamespace

import aiosmtpd.controller
import aiosmtpd.smtp
import django
from aiosmtpd.testing.statuscodes import StatusCode

django.setup()  # their tests know nothing of it, and rooms that have models want it first

# ruff: noqa: E402
from gateway.listeners import Listener
from mailrelay.routing import passwords
from mailrelay.routing.table import Client, RoutingTable
from mailrelay.smtp.context import Context
from mailrelay.smtp.options import SmtpOptions
from mailrelay.smtp.port import Port
from mailrelay.smtp.session import Session
from tests.harness.ports import free_port
from tests.smtp.smtp_server import LOOPBACK, SENDER, without_trace

LOCAL = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
KNOWN = Client(7, "good", LOCAL, login="goodlogin", password_hash=passwords.make("goodpasswd"))
DIRECTORY = RoutingTable((SENDER,), (LOOPBACK, KNOWN))


class Acceptor:
    """Gives what was taken to a handler's `handle_DATA`."""

    stalled = False

    def __init__(self, handler, loop, decode) -> None:
        self.handler, self.loop, self.decode = handler, loop, decode

    def submit(self, submission):
        hook = getattr(self.handler, "handle_DATA", None)
        if hook is None:
            done = concurrent.futures.Future()
            done.set_result(None)
            return done
        envelope = aiosmtpd.smtp.Envelope()
        envelope.mail_from, envelope.rcpt_tos = submission.mail_from, list(submission.recipients)
        envelope.original_content = without_trace(b"".join(submission.content.chunks(65536)))
        envelope.content = envelope.original_content
        if self.decode:
            envelope.content = envelope.content.decode("utf-8", "surrogateescape")
        return asyncio.run_coroutine_threadsafe(hook(None, None, envelope), self.loop)

    def disown(self, queue_id, outcome) -> bool:
        return not outcome.done()


class Substitute(Session):
    def __init__(
        self,
        handler,
        *,
        data_size_limit=33554432,
        decode_data=False,
        hostname=None,
        tls_context=None,
        require_starttls=False,
        timeout=300,
        auth_required=False,
        auth_require_tls=True,
        proxy_protocol_timeout=None,
        loop=None,
        **_,
    ) -> None:
        loop = loop or asyncio.get_event_loop()
        options = SmtpOptions(
            hostname or "localhost",
            max_message_size=data_size_limit or 36_700_160,
            command_seconds=timeout,
            min_free_bytes=0,
            login_delay_seconds=0,
            proxy_seconds=proxy_protocol_timeout or 1,
            bare_lf_seconds=1,
        )
        listener = Listener(
            "127.0.0.1",
            0,
            starttls="required" if require_starttls else "optional" if tls_context else "off",
            auth="required" if auth_required else "optional",
            cleartext_auth=not auth_require_tls,
            proxies=LOCAL if proxy_protocol_timeout else (),
        )
        certificates = SimpleNamespace(context=lambda _: tls_context) if tls_context else None
        context = Context(options, lambda: DIRECTORY, Acceptor(handler, loop, decode_data))
        super().__init__(
            context, loop, Port(listener, options.hostname, options.max_message_size, certificates)
        )


def _same_code(self, other) -> bool:
    return tuple(other)[:1] == tuple(self)[:1]


aiosmtpd.smtp.SMTP = aiosmtpd.controller.SMTP = Substitute
StatusCode.__eq__ = _same_code
StatusCode.__hash__ = tuple.__hash__

from aiosmtpd.tests.conftest import HostPort

HostPort.__new__.__defaults__ = (HostPort().host, free_port())  # theirs is 8025, on whatever machine
