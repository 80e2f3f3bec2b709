"""People who sign in with Entra ID: the code flow with PKCE by msal, the id token checked here.

msal guards state, nonce and verifier, and leaves the id token to the application since its 1.38
(https://github.com/AzureAD/microsoft-authentication-library-for-python/issues/911): signature, issuer,
audience and times are checked by PyJWT against the keys that Entra publishes.
"""

import hashlib
import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msal

from mailrelay.graph.entra import Transport
from mailrelay.graph.http import GraphSession

log = logging.getLogger(__name__)

# The answer comes in the query: a form that another site posts comes without our session's cookie, which is
# SameSite=Lax, and without the session nothing tells whose answer it is. The code alone opens nothing: it
# wants the verifier, which is in the session, and our secret.
warnings.filterwarnings("ignore", message="response_mode='form_post' is recommended")

#: Seconds by which two clocks may differ.
LEEWAY = 120
#: What an id token has to say (https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference).
REQUIRED = ("iss", "aud", "exp", "iat", "nonce", "oid", "tid")


@dataclass(frozen=True, slots=True)
class Directory:
    """Whose people sign in, and by which app registration."""

    tenant_id: str
    client_id: str
    secret: str = field(repr=False)
    authority_host: str = "https://login.microsoftonline.com"

    @property
    def authority(self) -> str:
        return f"{self.authority_host.rstrip('/')}/{self.tenant_id}"


@dataclass(frozen=True, slots=True)
class Person:
    """Who has signed in. `object_id` and `tenant_id` alone say who it is: names change hands."""

    tenant_id: str
    object_id: str
    username: str
    name: str
    roles: frozenset[str]


class SignInError(Exception):
    """Nobody has signed in; the text is a sentence for the person, without anything of the tokens."""


def begin(directory: Directory, session: GraphSession, redirect_uri: str) -> dict[str, Any]:
    """Return what `finish` has to be given, for the session of the browser; `auth_uri` is where it goes.

    Raises SignInError where Entra cannot be reached.
    """
    try:
        found: dict[str, Any] = _application(directory, session).initiate_auth_code_flow(
            scopes=[], redirect_uri=redirect_uri
        )
    except Exception as error:  # noqa: BLE001 - msal raises ValueError, KeyError and its own
        raise _unreachable(error) from None
    return found


def finish(
    directory: Directory, session: GraphSession, flow: dict[str, Any], answer: Mapping[str, str]
) -> Person:
    """Return who has come back with `answer`, the query of the redirect. Raises SignInError."""
    if "error" in answer:
        # Any page can send the browser here with words of its own: only what looks like Entra's is passed on.
        raise SignInError(f"Entra ID did not sign you in ({_word(answer['error'])}).")
    try:
        result = _application(directory, session).acquire_token_by_auth_code_flow(
            flow, dict(answer), scopes=[]
        )
    except ValueError:  # the state is another, or there is none
        raise SignInError("This sign-in was begun elsewhere or is over. Begin again.") from None
    except Exception as error:  # noqa: BLE001 - as above, and RuntimeError for a wrong nonce
        raise _unreachable(error) from None
    token = result.get("id_token") if isinstance(result, dict) else None
    if not isinstance(token, str):
        log.warning("Entra ID gave no id token: %s", _word(str(result.get("error"))))
        raise SignInError("Entra ID did not confirm the sign-in. Begin again; the log has its error.")
    issuer, keys = _published(directory, session)
    return check(token, directory.client_id, issuer, keys, flow)


def check(
    token: str, client_id: str, issuer: str, keys: Mapping[str, Any], flow: Mapping[str, Any]
) -> Person:
    """Return whom an id token names, if all of it holds. `keys` is a JWK set. Raises SignInError."""
    # Here, since it brings cryptography, 7 MiB that only a gateway with this sign-in needs.
    import jwt

    try:
        known = jwt.PyJWKSet.from_dict(dict(keys))
        key = known[jwt.get_unverified_header(token).get("kid", "")]
        claims = jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            audience=client_id,
            issuer=issuer,
            leeway=LEEWAY,
            options={"require": list(REQUIRED)},
        )
    except (jwt.PyJWTError, KeyError, ValueError) as error:
        log.warning("an id token does not hold: %s", type(error).__name__)
        raise SignInError("The answer of Entra ID does not hold; nobody was signed in.") from None
    if f"/{claims['tid']}/" not in issuer or claims["nonce"] != _nonce(flow):
        raise SignInError("The answer of Entra ID is for another sign-in; nobody was signed in.")
    roles = claims.get("roles")
    return Person(
        tenant_id=str(claims["tid"]),
        object_id=str(claims["oid"]),
        username=str(claims.get("preferred_username") or claims["oid"])[:150],
        name=str(claims.get("name") or "")[:150],
        roles=frozenset(str(role).lower() for role in roles) if isinstance(roles, list) else frozenset(),
    )


def _nonce(flow: Mapping[str, Any]) -> str:
    # What msal sends of the nonce that it keeps in the flow.
    return hashlib.sha256(str(flow.get("nonce")).encode()).hexdigest()


def _application(directory: Directory, session: GraphSession) -> Any:
    return msal.ConfidentialClientApplication(
        directory.client_id,
        authority=directory.authority,
        client_credential=directory.secret,
        instance_discovery=False,
        http_client=Transport(session),
    )


def _published(directory: Directory, session: GraphSession) -> tuple[str, dict[str, Any]]:
    """Fetch the issuer and the keys that the directory publishes. Raises SignInError."""
    transport = Transport(session)
    try:
        configuration = json.loads(
            transport.get(f"{directory.authority}/v2.0/.well-known/openid-configuration").text
        )
        keys: dict[str, Any] = json.loads(transport.get(configuration["jwks_uri"]).text)
        return str(configuration["issuer"]), keys
    except Exception as error:  # noqa: BLE001 - no answer, one that is not JSON, or one without the names
        raise _unreachable(error) from None


def _unreachable(error: Exception) -> SignInError:
    # The type alone: msal's texts quote what they could not read.
    log.warning("Entra ID could not be asked about a sign-in: %s", type(error).__name__)
    return SignInError("Entra ID cannot be asked now. Try again in a moment; the log has the reason.")


def _word(text: str) -> str:
    return text if text.isascii() and text.replace("_", "").isalnum() and len(text) <= 50 else "error"
