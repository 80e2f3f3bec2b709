"""A secret or certificate is tried before it is stored: one press of a button tries it, the next stores it.

Between the trial and the saving it travels sealed in the form: nothing is saved before it is known to work,
and neither session nor page holds it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mailrelay.console.sealing import seal, unseal
from mailrelay.models import AppRegistration, Mailbox
from mailrelay.status.words import name_of_credential

if TYPE_CHECKING:
    from mailrelay.delivery.credential_test import Findings

#: What the history says of what was stored against the trial's word.
ALTHOUGH = "although its trial failed"
OUT_OF_DATE = "Nothing was stored: ten minutes have passed since the trial. Enter it once more."
NOT_GOOD = "Nothing was stored: the trial failed. Tick the box to store it all the same."


class NotConfirmedError(Exception):
    """What was tried must not be stored; the text says why, and what to do."""


def tried(
    row: AppRegistration, purpose: str, values: dict[str, Any], mailboxes: Iterable[Mailbox] = ()
) -> dict[str, Any]:
    """Try what `row` proves itself with; return what the page shows, and `values` sealed for `confirmed`.

    `row` need not be stored. `purpose` names the page, its object and the person.
    """
    # Here, since the parts that talk to Microsoft cost memory that no other page needs.
    from mailrelay.delivery.credential_test import prove
    from mailrelay.delivery.credentials import credential_of

    findings = prove(replace(credential_of(row), key=f"{row.pk}:trial"), mailboxes)
    return {
        "tried": True,
        "findings": findings,
        "proof": name_of_credential(row.kind),
        "proof_ends": row.endings().get(row.kind),
        "sealed": seal(purpose, {**values, "good": findings.good}),
        "strangers": _strangers(row, findings),
    }


def confirmed(purpose: str, posted: Mapping[str, str]) -> dict[str, Any]:
    """Open the values that were sealed by `tried`, with whether the trial was `good`.

    Raises NotConfirmedError when it was long ago, or failed and nobody ticked the box.
    """
    values = unseal(purpose, posted.get("sealed", ""))
    if values is None:
        raise NotConfirmedError(OUT_OF_DATE)
    if not values["good"] and not posted.get("override"):
        raise NotConfirmedError(NOT_GOOD)
    return values


def _strangers(row: AppRegistration, findings: "Findings") -> bool:
    """Whether the token is for another tenant or application than the row says."""
    tenant, application = findings.tenant.lower(), findings.application.lower()
    other = bool(application) and application != row.client_id.lower()
    return other or (bool(tenant) and "." not in row.tenant_id and tenant != row.tenant_id.lower())
