"""Everything that a running sandbox holds."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.faults import Faults
from sandbox.limits import Limiter
from sandbox.permissions import Permissions
from sandbox.transport import SendingLimits
from sandbox.world import World, default_document

if TYPE_CHECKING:
    from sandbox.certificates import Certificates
    from sandbox.ledger import Ledger
    from sandbox.store import Store
    from sandbox.tokens import Tokens


class Stats:
    """Counts since the start or the last reset."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.decisions: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()

    def decided(self, kind: str, decision: str, status: int | None) -> None:
        self.requests[kind] += 1
        self.decisions[f"{kind} {decision}"] += 1
        self.statuses[str(status)] += 1


@dataclass
class Sandbox:
    """The state that the https sites, the control API and the pages share; one event loop owns it."""

    ledger: Ledger
    tokens: Tokens
    certificates: Certificates
    store: Store
    world: World = field(default_factory=lambda: World(default_document()))
    stats: Stats = field(default_factory=Stats)
    faults: Faults = field(default_factory=Faults)
    limiter: Limiter = field(default_factory=Limiter)
    sending: SendingLimits = field(default_factory=SendingLimits)
    permissions: Permissions = field(default_factory=Permissions)
    initial: dict[str, Any] = field(default_factory=default_document)
    base_url: str = ""
    upload_url: str = ""
    page_url: str = ""
    started: float = field(default_factory=time.time)

    def replace_world(self, document: dict[str, Any]) -> None:
        """Put another world in place; raises ValueError and changes nothing when it is not coherent."""
        world = World(document)
        self.permissions.changed(self.world, world)
        self.world = world

    def reset(self) -> None:
        """Back to the world, the counts and the empty mailboxes of a fresh start; the ledger stays."""
        self.world = World(self.initial)
        self.store.clear()
        self.tokens.clear()
        self.faults.clear()
        self.stats, self.limiter = Stats(), Limiter()
        self.sending, self.permissions = SendingLimits(), Permissions()
