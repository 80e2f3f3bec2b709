"""Rights in mailboxes: consent in Entra united with RBAC for Applications in Exchange."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.world import App, Mailbox, World

SEND = frozenset({"Mail.Send"})
WRITE = frozenset({"Mail.ReadWrite"})
READ_WHOLE = WRITE | {"Mail.Read"}
READ = WRITE | {"Mail.Read", "Mail.ReadBasic", "Mail.ReadBasic.All"}


class Permissions:
    """Decides by the token's roles and by the RBAC assignments that Exchange has heard of by now."""

    def __init__(self) -> None:
        self._pending: dict[str, tuple[float, dict[str, list[str]]]] = {}

    def changed(self, old: World, new: World) -> None:
        """Keep the assignments of `old` in force for `behaviour.rbac_delay` seconds."""
        until = time.monotonic() + new.behaviour.rbac_delay
        for key, app in new.apps.items():
            before = old.apps.get(key)
            if new.behaviour.rbac_delay and before and before.rbac != app.rbac:
                self._pending[key] = (until, before.rbac)

    def allows(
        self, app_id: str, app: App, roles: frozenset[str], mailbox: Mailbox, need: frozenset[str]
    ) -> bool:
        """Whether any role of `need` is in the token or assigned for this mailbox: a union, as documented."""
        if roles & need:
            return True
        assigned = self._assignments(app_id, app)
        return any(
            "*" in assigned.get(role, ()) or mailbox.address in assigned.get(role, ()) for role in need
        )

    def _assignments(self, app_id: str, app: App) -> dict[str, list[str]]:
        until, rbac = self._pending.get(app_id, (0.0, app.rbac))
        if time.monotonic() < until:
            return rbac
        self._pending.pop(app_id, None)
        return app.rbac
