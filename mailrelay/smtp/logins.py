"""Logins of SMTP clients: the limiter first, then what is remembered, then one hash at a time."""

import asyncio
import hashlib
import hmac
import logging
import os
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from mailrelay import metrics
from mailrelay.routing import passwords
from mailrelay.routing.table import Client, RoutingTable
from mailrelay.smtp import replies
from mailrelay.smtp.failures import Failures
from mailrelay.smtp.replies import Reply

logger = logging.getLogger(__name__)

#: Logins that may wait for their hash; 50 ms to 300 ms each.
WAITING_LIMIT = 32
#: Verified logins that are remembered.
REMEMBERED = 10_000
#: Behind a name that is counted where nobody may log in by it.
ELSEWHERE = "\0elsewhere"


class Logins:
    """Checks names and passwords. Used in one event loop; the hash is computed in a thread.

    A verified login is remembered by its address as a digest under a key of this process, over the hash in
    the row as well: when that changes, it is remembered no more. A password is never kept. Where a client may
    log in from is asked each time.
    """

    def __init__(self) -> None:
        self.failures = Failures()
        self._key = os.urandom(32)
        self._remembered: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="smtp-login")
        self._one = asyncio.Lock()
        self._waiting = 0
        self._decoy = ""

    async def check(self, routing: RoutingTable, address: str, login: str, password: str) -> Client | Reply:
        """Give the client that `login` and `password` belong to, or say why it is not taken."""
        client, name = routing.client_of_login(login), login.casefold()
        if client is None or not client.may_come_from(address):
            # Before what is remembered: its networks may have changed since. And counted apart: who guesses
            # where the name is nobody's must not lock it out where it is somebody's.
            client, name = None, name + ELSEWHERE
        result = await self._checked(client, address, name, password)
        outcome = "ok" if isinstance(result, Client) else result.rule
        metrics.SMTP_LOGINS.labels(outcome=outcome).inc()
        return result

    async def _checked(
        self, client: Client | None, address: str, login: str, password: str
    ) -> Client | Reply:
        if self.failures.of_pair(address, login):
            return replies.AUTH_LIMITED
        digest = self._digest(client, password)
        if client is not None and self._is_remembered(address, login, digest):
            return client
        if self._waiting >= WAITING_LIMIT:
            return replies.AUTH_BUSY
        self._waiting += 1
        try:
            async with self._one:
                # Here, so that a burst of guesses cannot pass before the first of them is counted.
                if self.failures.of_pair(address, login) or self.failures.of_either(address, login):
                    return replies.AUTH_LIMITED
                right = await self._verify(client, password)
                if client is None or not right:
                    self.failures.add(address, login)
                    return replies.AUTH_FAILED
        finally:
            self._waiting -= 1
        self._remember(address, login, digest)
        return client

    async def _verify(self, client: Client | None, password: str) -> bool:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._matches, client, password)

    def _matches(self, client: Client | None, password: str) -> bool:
        """Compare; a name that nobody has takes as long as one that somebody has."""
        if client is None:
            self._decoy = self._decoy or passwords.make(passwords.generate())
            passwords.matches(password, self._decoy)
            return False
        if not passwords.usable(client.password_hash):
            logger.error("client %s cannot log in: its password has to be set again", client.name)
            return False
        return passwords.matches(password, client.password_hash)

    def _digest(self, client: Client | None, password: str) -> bytes:
        known = f"{client.id}\0{client.password_hash}\0" if client else ""
        return hashlib.blake2b((known + password).encode("utf-8", "surrogateescape"), key=self._key).digest()

    def _is_remembered(self, address: str, login: str, digest: bytes) -> bool:
        return hmac.compare_digest(self._remembered.get((address, login), b""), digest)

    def _remember(self, address: str, login: str, digest: bytes) -> None:
        self._remembered[address, login] = digest
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
