"""Credentials of an app registration, as plain data."""

import base64
from dataclasses import dataclass, field, replace

from mailrelay.vocabulary import CredentialKind

GLOBAL_AUTHORITY = "https://login.microsoftonline.com"
GLOBAL_GRAPH = "https://graph.microsoft.com"


PFX_BEGIN, PFX_END = "-----BEGIN PKCS12-----", "-----END PKCS12-----"


def armoured(pfx: bytes) -> str:
    """Write the bytes of a PFX file as text, so that it can be kept where a PEM is (RFC 7468's form)."""
    return f"{PFX_BEGIN}\n{base64.encodebytes(pfx).decode('ascii')}{PFX_END}\n"


@dataclass(frozen=True, slots=True)
class Credential:
    """One version of one app registration's proof of identity.

    `key` is "<registration id>:<version>" and is what tokens are kept by: a changed secret comes with
    a changed version and is therefore another credential. Secrets never show in the `repr`.
    """

    key: str
    tenant_id: str
    client_id: str
    authority_host: str = GLOBAL_AUTHORITY
    graph_endpoint: str = GLOBAL_GRAPH
    kind: CredentialKind = CredentialKind.SECRET
    secret: str = field(default="", repr=False)
    next_secret: str = field(default="", repr=False)  # newer than `secret` and tried first; both may be good
    certificate_pem: str = field(default="", repr=False)  # key and certificate(s), or an `armoured` PFX
    certificate_path: str = ""  # instead of the text: a PEM or PFX file, read at each acquisition
    certificate_password: str = field(default="", repr=False)
    next_certificate_pem: str = field(default="", repr=False)  # newer than what `kind` says, and tried first
    next_certificate_password: str = field(default="", repr=False)
    token_file: str = ""  # federated: read at each assertion, since the platform rotates it

    @property
    def registration(self) -> str:
        """The part of `key` that stays when the version changes."""
        return self.key.rpartition(":")[0] or self.key

    @property
    def older(self) -> "Credential":
        """The credential without what is to replace its proof."""
        return replace(self, next_secret="", next_certificate_pem="", next_certificate_password="")

    @property
    def newer(self) -> "Credential | None":
        """The credential with the proof that is to replace its own; None where none is stored."""
        if self.next_certificate_pem:
            return replace(
                self.older,
                kind=CredentialKind.CERTIFICATE,
                certificate_pem=self.next_certificate_pem,
                certificate_password=self.next_certificate_password,
            )
        if self.next_secret:
            return replace(self.older, kind=CredentialKind.SECRET, secret=self.next_secret)
        return None

    @property
    def authority(self) -> str:
        """The Entra tenant as a URL."""
        return f"{self.authority_host.rstrip('/')}/{self.tenant_id}"

    @property
    def resource(self) -> str:
        """The Graph of this national cloud, without a trailing slash."""
        return self.graph_endpoint.rstrip("/")

    @property
    def scope(self) -> str:
        """The only scope that client credentials may ask for: everything granted, on this cloud's Graph."""
        return f"{self.resource}/.default"
