"""The world of the sandbox: tenants, app registrations, mailboxes, limits and switchable behaviour.

The whole world is one JSON document. The control API reads it, replaces it or merges into it; every
setting is validated by name, so that a misspelt one is refused instead of ignored.
"""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import dataclass, field
from typing import Any, TypeVar

TENANT = "11111111-1111-1111-1111-111111111111"
SECOND_TENANT = "44444444-4444-4444-4444-444444444444"
CLIENT = "22222222-2222-2222-2222-222222222222"
SECOND_CLIENT = "33333333-3333-3333-3333-333333333333"
FABRIKAM_CLIENT = "55555555-5555-5555-5555-555555555555"
SIGN_IN_CLIENT = "77777777-7777-7777-7777-777777777777"
RBAC_CLIENT = "66666666-6666-6666-6666-666666666666"
MEBIBYTE = 1024 * 1024

MAILBOX_STATES = (
    "normal",
    "unlicensed",  # 404 MailboxNotEnabledForRESTAPI
    "out_of_scope",  # 403 ErrorAccessDenied, as outside an RBAC management scope
    "access_policy",  # 403 "Access to OData is disabled.", as under an application access policy
    "full",  # ErrorQuotaExceeded
    "blocked",  # 403 ErrorAccountDisabled
    "submission_quota",  # 500 ErrorSubmissionQuotaExceeded
)

SECOND_SUBMISSIONS = ("deliver", "drop", "refuse")


@dataclass
class Tenant:
    """A directory; addresses in its domains are internal, all others external."""

    name: str
    domains: list[str]


@dataclass
class App:
    """An app registration with what it may prove itself by and what it may do."""

    tenant: str
    name: str = ""
    secrets: list[str] = field(default_factory=list)
    expired_secrets: list[str] = field(default_factory=list)
    certificates: list[str] = field(default_factory=list)  # PEM
    federated: list[dict[str, str]] = field(default_factory=list)  # issuer, subject, audience, key (PEM)
    managed_identity: bool = False
    roles: list[str] = field(default_factory=list)  # consented in Entra, hence in the token
    rbac: dict[str, list[str]] = field(default_factory=dict)  # role to mailboxes ("*": all), never in it
    token_lifetime: int = 0  # seconds; 0 takes behaviour.token_lifetime
    redirect_uris: list[str] = field(default_factory=list)  # where people who sign in may come back to
    people: list[dict[str, str]] = field(default_factory=list)  # oid, preferred_username, name, roles (words)


@dataclass
class Mailbox:
    """A mailbox; Graph finds it by `id` or `upn` only, mail by `address` or an alias."""

    tenant: str
    address: str = ""
    id: str = ""
    upn: str = ""
    aliases: list[str] = field(default_factory=list)
    send_as: list[str] = field(default_factory=list)
    state: str = "normal"
    display_name: str = ""


@dataclass
class Limits:
    """The documented limits of Graph and Exchange Online; 0 switches one off.

    The first block is per app registration and mailbox; sizes are bytes, windows and times seconds.
    """

    concurrency: int = 4
    concurrency_scope: str = "mailbox"  # or "app": the two published readings of the same limit
    requests: int = 10_000
    requests_window: float = 600
    upload_bytes: int = 150 * MEBIBYTE
    upload_window: float = 300
    retry_after: str = "integer"  # integer, fractional, http-date or absent
    retry_after_seconds: float = 2  # for the concurrency limit; windows say when they drop
    request_bytes: int = 4 * MEBIBYTE
    header_bytes: int = 256 * 1024
    message_bytes: int = 35 * MEBIBYTE
    attachment_bytes: int = 150 * MEBIBYTE
    upload_session_minimum: int = 3 * MEBIBYTE
    upload_session_seconds: float = 6000
    messages_per_minute: int = 30
    recipients_per_message: int = 500
    recipients_per_day: int = 10_000
    external_recipients_per_day: int = 10_000  # of the tenant (TERRL, one licence)
    moera_recipients_per_day: int = 100  # external, from onmicrosoft.com addresses


@dataclass
class Behaviour:
    """Switches for what is reported of the service but settled by no document; times in seconds."""

    latency_ms: float = 0
    token_lifetime: int = 3599
    silent_200_above: int = 0  # bytes of MIME above which sendMail says 200 and sends nothing; 0: never
    oversize_status: int = 413  # or 400, both were reported
    rewrite_message_id: bool = False
    #: What becomes of a second submission of one Message-ID in one mailbox: deliver, drop (202), refuse
    second_submission: str = "deliver"
    keep_unknown_headers: bool = False
    # Reported since July 2025: MIME with a calendar of method REQUEST, CANCEL or REPLY goes to its people,
    # whatever To, Cc and Bcc say. False: to these.
    calendar_decides: bool = True
    mime_drafts: bool = True  # False: POST messages with MIME is refused
    upload_to_mime_drafts: bool = True  # False: no upload session on a draft made from MIME
    other_upload_spelling: bool = False  # "NextExpectedRanges", and the dash where it otherwise is not
    rbac_delay: float = 0  # until a change of App.rbac is seen by Exchange
    sent_items_delay: float = 0  # until the copy in Sent Items can be found
    refused_recipients: list[str] = field(default_factory=list)  # 400 ErrorInvalidRecipients, like bad syntax
    #: How the refusal names one; {address} and {name} are filled in, and without them it names nobody.
    refusal_text: str = 'Recipient "{address}" isn\'t resolved.'
    undeliverable_domains: list[str] = field(default_factory=lambda: ["undeliverable.test"])
    report_delay: float = 0  # until a non-delivery report lies in the sender's Inbox
    aadsts_status: dict[str, int] = field(default_factory=dict)  # AADSTS number to HTTP status


T = TypeVar("T", Tenant, App, Mailbox, Limits, Behaviour)


def _build(kind: type[T], data: object, what: str) -> T:
    if not isinstance(data, dict):
        raise ValueError(f"{what} must be an object")  # noqa: TRY004 -- the document is at fault
    known = {f.name: f for f in dataclasses.fields(kind)}
    for name in data:
        if name not in known:
            raise ValueError(f"{what} has no setting {name!r}; it has {', '.join(known)}")
    try:
        return kind(**data)
    except TypeError as error:
        raise ValueError(f"{what} is incomplete: {error}") from error


class World:
    """The document, indexed for the look-ups of a request.

    Raises ValueError, with a sentence for the author of the document, when it does not hold together.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        for name in document:
            if name not in ("tenants", "apps", "mailboxes", "limits", "behaviour"):
                raise ValueError(f"the world has no part {name!r}")
        self.tenants = {
            key.lower(): _build(Tenant, value, f"tenant {key}")
            for key, value in document.get("tenants", {}).items()
        }
        self.apps = {
            key.lower(): _build(App, value, f"app {key}") for key, value in document.get("apps", {}).items()
        }
        self.mailboxes = {
            key.lower(): _mailbox(key.lower(), value) for key, value in document.get("mailboxes", {}).items()
        }
        self.limits = _build(Limits, document.get("limits", {}), "limits")
        self.behaviour = _build(Behaviour, document.get("behaviour", {}), "behaviour")
        self._check()
        self._keys = {
            (box.tenant, key.lower()): box for box in self.mailboxes.values() for key in (box.id, box.upn)
        }
        self._addresses = {
            address.lower(): box for box in self.mailboxes.values() for address in (box.address, *box.aliases)
        }

    def _check(self) -> None:
        if self.behaviour.second_submission not in SECOND_SUBMISSIONS:
            raise ValueError(f"second_submission must be one of {', '.join(SECOND_SUBMISSIONS)}")
        tenants = {key: app.tenant for key, app in self.apps.items()}
        tenants |= {key: box.tenant for key, box in self.mailboxes.items()}
        for key, tenant in tenants.items():
            if tenant not in self.tenants:
                raise ValueError(f"{key} belongs to tenant {tenant!r}, which does not exist")
        for box in self.mailboxes.values():
            if box.state not in MAILBOX_STATES:
                raise ValueError(f"{box.address}: state must be one of {', '.join(MAILBOX_STATES)}")

    def tenant_id(self, name: str) -> str | None:
        """The id of the tenant that `name` (an id or a verified domain) stands for."""
        name = name.lower()
        if name in self.tenants:
            return name
        return next((key for key, tenant in self.tenants.items() if name in tenant.domains), None)

    def mailbox(self, tenant: str, key: str) -> Mailbox | None:
        """The mailbox that `/users/{key}` names: by object id or user principal name, as documented."""
        return self._keys.get((tenant, key.lower()))

    def owner(self, address: str) -> Mailbox | None:
        """The mailbox that has `address` as its primary address or as an alias."""
        return self._addresses.get(address.lower())

    def is_internal(self, tenant: str, address: str) -> bool:
        return address.rpartition("@")[2].lower() in self.tenants[tenant].domains

    def document(self) -> dict[str, Any]:
        return {
            "tenants": {key: dataclasses.asdict(value) for key, value in self.tenants.items()},
            "apps": {key: dataclasses.asdict(value) for key, value in self.apps.items()},
            "mailboxes": {key: dataclasses.asdict(value) for key, value in self.mailboxes.items()},
            "limits": dataclasses.asdict(self.limits),
            "behaviour": dataclasses.asdict(self.behaviour),
        }


def _mailbox(address: str, value: object) -> Mailbox:
    box = _build(Mailbox, value, f"mailbox {address}")
    box.address = box.address or address
    box.id = box.id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{address}"))
    box.upn = box.upn or address
    return box


def merge(document: Any, patch: Any) -> Any:
    """`patch` applied to `document` as RFC 7396 says: objects merge, null removes, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def default_document() -> dict[str, Any]:
    """The tenant that a fresh sandbox has: a mailbox for every way in which one can answer."""
    contoso: dict[str, dict[str, Any]] = {
        "gateway@contoso.test": {"display_name": "Mail gateway"},
        "shared@contoso.test": {"display_name": "Shared mailbox"},
        "billing@contoso.test": {"aliases": ["invoices@contoso.test"], "display_name": "Billing"},
        "renamed@contoso.test": {"upn": "old.name@contoso.test"},
        "delegate@contoso.test": {"send_as": ["shared@contoso.test"]},
        "unlicensed@contoso.test": {"state": "unlicensed"},
        "outofscope@contoso.test": {"state": "out_of_scope"},
        "policy@contoso.test": {"state": "access_policy"},
        "full@contoso.test": {"state": "full"},
        "blocked@contoso.test": {"state": "blocked"},
        "quota@contoso.test": {"state": "submission_quota"},
        "moera@contoso.onmicrosoft.com": {},
    }
    both = ["Mail.Send", "Mail.ReadWrite"]
    return {
        "tenants": {
            TENANT: {"name": "Contoso", "domains": ["contoso.test", "contoso.onmicrosoft.com"]},
            SECOND_TENANT: {"name": "Fabrikam", "domains": ["fabrikam.test"]},
        },
        "apps": {
            CLIENT: {
                "tenant": TENANT,
                "name": "Gateway",
                "secrets": ["sandbox-secret"],
                "expired_secrets": ["sandbox-expired-secret"],
                "roles": ["Mail.Send"],
                "managed_identity": True,
            },
            SECOND_CLIENT: {
                "tenant": TENANT,
                "name": "Gateway, large mail",
                "secrets": ["sandbox-secret-2"],
                "roles": both,
            },
            RBAC_CLIENT: {
                "tenant": TENANT,
                "name": "Gateway, RBAC for Applications",
                "secrets": ["sandbox-secret-rbac"],
                "rbac": {"Mail.Send": ["gateway@contoso.test", "shared@contoso.test"]},
            },
            SIGN_IN_CLIENT: {
                "tenant": TENANT,
                "name": "Gateway, sign-in",
                "secrets": ["sandbox-secret-sign-in"],
                "redirect_uris": ["http://localhost"],
                "people": [
                    {
                        "oid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{name}@contoso.test")),
                        "preferred_username": f"{name}@contoso.test",
                        "name": name.capitalize(),
                        "roles": roles,
                    }
                    for name, roles in (("ada", "administrator"), ("otto", "operator"), ("nina", ""))
                ],
            },
            FABRIKAM_CLIENT: {
                "tenant": SECOND_TENANT,
                "name": "Fabrikam gateway",
                "secrets": ["sandbox-secret-fabrikam"],
                "roles": both,
            },
        },
        "mailboxes": {
            **{address: {"tenant": TENANT, **settings} for address, settings in contoso.items()},
            "gateway@fabrikam.test": {"tenant": SECOND_TENANT, "display_name": "Fabrikam gateway"},
        },
        "limits": {},
        "behaviour": {},
    }
