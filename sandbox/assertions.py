"""Client assertions (RFC 7523): a JWT signed by a registered certificate or by a federated issuer."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

if TYPE_CHECKING:
    from sandbox.tokens import Tokens
    from sandbox.world import App

BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ["PS256", "RS256", "ES256"]
FEDERATED_AUDIENCE = "api://AzureADTokenExchange"


class AssertionRefused(Exception):  # noqa: N818 -- an answer of Entra, not an error of the program
    """An AADSTS `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def verify(assertion: str, client_id: str, app: App, audiences: list[str], tokens: Tokens) -> None:
    """Accept `assertion` as proof of being `client_id`, or raise AssertionRefused.

    A token issued by someone other than the client itself is taken for a federated credential; that one may
    be used again until it expires (a pod's token file is), while the client's own may not.
    """
    try:
        header = jwt.get_unverified_header(assertion)
        claims: dict[str, Any] = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise AssertionRefused(700027) from error
    if claims.get("iss") != client_id:
        _verify_federated(assertion, claims, app)
        return
    claims = _decode(assertion, _certificate_key(header, app), audiences)
    if claims["sub"] != client_id:
        raise AssertionRefused(700021)
    if not tokens.first_use(str(claims["jti"]), float(claims["exp"])):
        raise AssertionRefused(50012)


def _verify_federated(assertion: str, claims: dict[str, Any], app: App) -> None:
    for credential in app.federated:
        if (claims.get("iss"), claims.get("sub")) == (credential.get("issuer"), credential.get("subject")):
            key = credential["key"].encode()
            _decode(assertion, key, [credential.get("audience") or FEDERATED_AUDIENCE], ["exp", "iss", "sub"])
            return
    raise AssertionRefused(700211)


def _decode(
    assertion: str, key: Any, audiences: list[str], required: list[str] | None = None
) -> dict[str, Any]:
    require = required or ["exp", "iss", "sub", "jti"]
    try:
        return jwt.decode(assertion, key, ALGORITHMS, audience=audiences, options={"require": require})
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as error:
        raise AssertionRefused(700024) from error
    except (jwt.InvalidAudienceError, jwt.MissingRequiredClaimError) as error:
        raise AssertionRefused(700023) from error
    except jwt.InvalidTokenError as error:
        raise AssertionRefused(700027) from error


def _certificate_key(header: dict[str, Any], app: App) -> Any:
    """The public key of the registered certificate that the header's thumbprint names."""
    for text in app.certificates:
        certificate = x509.load_pem_x509_certificate(text.encode())
        der = certificate.public_bytes(serialization.Encoding.DER)
        thumbprints = {
            "x5t#S256": _base64url(hashlib.sha256(der).digest()),
            "x5t": _base64url(certificate.fingerprint(hashes.SHA1())),  # noqa: S303 -- what x5t is (RFC 7515)
        }
        # msal pads the thumbprint, which RFC 7515 does not; Entra takes both.
        if any(str(header.get(name, "")).rstrip("=") == value for name, value in thumbprints.items()):
            return certificate.public_key()
    raise AssertionRefused(700027)


def _base64url(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
