"""Access tokens: JWTs signed by the sandbox's Entra key, so that they outlive a restart of the sandbox."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

if TYPE_CHECKING:
    from sandbox.signin import Code

KEY_ID = "sandbox"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token says: whose it is, what was consented to, until when (Unix time, seconds)."""

    app: str
    tenant: str
    roles: frozenset[str]
    expires: float


class Tokens:
    """Issues and recognises tokens; one seen before costs a dictionary look-up."""

    def __init__(self, signing_key: bytes) -> None:
        key = serialization.load_pem_private_key(signing_key, None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError("entra.pem does not hold an RSA key: delete it and start again")
        self._key = key
        self._seen: dict[str, Grant] = {}
        self._revoked_before = 0.0
        self._used_assertions: dict[str, float] = {}
        self.issued = 0
        #: What people came back with and no application has shown yet.
        self.codes: dict[str, Code] = {}

    def sign(self, claims: dict[str, object]) -> str:
        return jwt.encode(claims, self._key, "RS256", {"kid": KEY_ID})

    def issue(self, app: str, tenant: str, roles: list[str], audience: str, lifetime: int) -> str:
        now = int(time.time())
        claims: dict[str, object] = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{tenant}/",
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "appid": app,
            "appidacr": "1",
            "idtyp": "app",
            "oid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"sp:{app}")),
            "tid": tenant,
            "uti": uuid.uuid4().hex,
            "ver": "1.0",
        }
        if roles:  # under RBAC for Applications the claim is missing, not empty
            claims["roles"] = roles
        self.issued += 1
        token = self.sign(claims)
        self._seen[token] = Grant(app, tenant, frozenset(roles), now + lifetime)
        return token

    def recognise(self, token: str) -> Grant | None:
        """The grant behind `token`, expired or not; None for text that this Entra never signed."""
        grant = self._seen.get(token)
        if grant is None:
            grant = self._verify(token)
            if grant is not None:
                self._seen[token] = grant
        return grant

    def _verify(self, token: str) -> Grant | None:
        options = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
        try:
            claims = jwt.decode(token, self._key.public_key(), ["RS256"], options=options)  # type: ignore[arg-type]
        except jwt.InvalidTokenError:
            return None
        if claims["iat"] < self._revoked_before:
            return None
        return Grant(claims["appid"], claims["tid"], frozenset(claims.get("roles", ())), claims["exp"])

    def first_use(self, identifier: str, expires: float) -> bool:
        """Whether a client assertion with this jti is seen for the first time."""
        now = time.time()
        self._used_assertions = {key: end for key, end in self._used_assertions.items() if end > now}
        if identifier in self._used_assertions:
            return False
        self._used_assertions[identifier] = expires
        return True

    def revoke_all(self) -> None:
        """Forget every token issued before this second."""
        self._seen.clear()
        self._revoked_before = time.time()

    def clear(self) -> None:
        self._seen.clear()
        self._used_assertions.clear()
        self.codes.clear()
        self.issued = 0

    def public_jwk(self) -> dict[str, object]:
        jwk = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {**jwk, "kid": KEY_ID, "use": "sig", "alg": "RS256"}
