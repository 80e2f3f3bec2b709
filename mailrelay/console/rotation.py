"""A secret or certificate is replaced: pasted, tried against Microsoft, stored beside the one in use.

The older one stays until somebody retires it.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from mailrelay.console import proof_trial
from mailrelay.console.proof_form import ProofForm
from mailrelay.console.proof_trial import ALTHOUGH, NotConfirmedError
from mailrelay.models import AppRegistration
from mailrelay.outbox.errors import OutboxError
from mailrelay.outbox.operators import registrations
from mailrelay.outbox.operators.registrations import NewCredential
from mailrelay.outbox.scheduling import scheduler
from mailrelay.status.words import name_of_credential
from mailrelay.vocabulary import CredentialKind

CHANGED = "Nothing was stored: somebody changed this app registration meanwhile, or this was done already."
UNPROVED = (
    "Nothing was retired: no worker has got a token with the newer one since it was stored, and the older "
    "one may be all that works. Tick the box to retire it all the same."
)
#: Whose the proof is, and where it is tried.
PLACE = ("pk", "tenant_id", "client_id", "authority_host", "graph_endpoint")


@dataclass(frozen=True, slots=True)
class Done:
    """What a press of a button came to: whether anything changed, the sentence, and the changed field."""

    moved: bool
    sentence: str
    field: str = ""


class Rotation:
    """The page of one app registration for one person."""

    def __init__(self, registration: AppRegistration, request: HttpRequest) -> None:
        self.registration = registration
        self.request = request
        self._purpose = f"rotation {registration.pk} {request.user.pk}"

    def respond(self, context: dict[str, Any], back: str) -> tuple[HttpResponse, Done | None]:
        """Answer the request; what was done, if anything, is for the history."""
        posted = self.request.POST
        step = posted.get("step", "")
        done = self._act(step) if step in {"save", "roll_back", "retire"} else None
        if done is not None:
            messages.add_message(
                self.request, messages.SUCCESS if done.moved else messages.WARNING, done.sentence
            )
            return HttpResponseRedirect(self.request.path), done
        page = {**context, **self._standing(), "back": back, **self._form()}
        return TemplateResponse(self.request, "console/rotation.html", page), None

    def _standing(self) -> dict[str, Any]:
        """Say which proofs are stored and which one is used, without reading them."""
        row = AppRegistration.objects.filter(pk=self.registration.pk)
        newer = [name for name in ("secret", "certificate") if row.exclude(**{f"next_{name}": ""}).exists()]
        ends = self.registration.endings()
        return {
            "registration": self.registration,
            "older": name_of_credential(self.registration.kind),
            "older_ends": ends.get(self.registration.kind),
            "newer": name_of_credential(newer[0]) if newer else "",
            "newer_ends": ends.get(f"next_{newer[0]}") if newer else None,
            "in_use": self.registration.secret_in_use,
            "newer_works": self.registration.secret_in_use.startswith("next_"),
        }

    def _form(self) -> dict[str, Any]:
        if self.request.POST.get("step") != "check":
            return {"form": ProofForm()}
        form = ProofForm(self.request.POST, self.request.FILES)
        if not form.is_valid():
            return {"form": form}
        return self._tried(form.cleaned_data["proof"])

    def _tried(self, proof: NewCredential) -> dict[str, Any]:
        # Here, since the parts that talk to Microsoft cost memory that no other page needs.
        from mailrelay.delivery.credential_test import mailboxes_of

        row = self.registration
        known = AppRegistration.objects.values_list("version", flat=True).get(pk=row.pk)
        place = {name: getattr(row, name) for name in PLACE}
        with_it = AppRegistration(**place, kind=proof.kind, **proof.columns)
        values = {**_packed(proof), "version": known}
        return proof_trial.tried(with_it, self._purpose, values, mailboxes_of(row))

    def _act(self, step: str) -> Done:
        try:
            return self._save() if step == "save" else self._decide(step)
        except NotConfirmedError as problem:
            return Done(False, str(problem))
        except OutboxError as error:
            return Done(False, f"Nothing was stored: {error}")
        finally:
            scheduler.wake()

    def _save(self) -> Done:
        sealed = proof_trial.confirmed(self._purpose, self.request.POST)
        proof = _unpacked(sealed)
        if not registrations.add_credential(self.registration, proof, sealed["version"]):
            return Done(False, CHANGED)
        name = name_of_credential(proof.kind)
        return Done(
            True,
            f"The newer {name} is stored, and every worker uses it from its next mail on. The older one is "
            "kept: retire it when mail flows, or roll back to it.",
            f"newer {name}{'' if sealed['good'] else f', {ALTHOUGH}'}",
        )

    def _decide(self, step: str) -> Done:
        version = self.request.POST.get("version", "")
        proved = self.registration.secret_in_use.startswith("next_")
        if step == "retire" and not proved and not self.request.POST.get("override"):
            return Done(False, UNPROVED)
        act, sentence, field = {
            "roll_back": (
                registrations.roll_back,
                "Rolled back: the older one is used alone, and the newer one is forgotten.",
                "newer credential forgotten",
            ),
            "retire": (
                registrations.retire,
                "Retired: the newer one is used alone, the older one is forgotten. Delete it in Entra ID.",
                "older credential forgotten",
            ),
        }[step]
        if version.isdecimal() and act(self.registration, int(version)):
            return Done(True, sentence, field)
        return Done(False, CHANGED)


def _packed(proof: NewCredential) -> dict[str, Any]:
    return {
        "kind": str(proof.kind),
        "value": proof.value,
        "password": proof.password,
        "ends_on": proof.ends_on.isoformat() if proof.ends_on else "",
        "ends_at": proof.ends_at.isoformat() if proof.ends_at else "",
    }


def _unpacked(values: dict[str, Any]) -> NewCredential:
    return NewCredential(
        CredentialKind(values["kind"]),
        values["value"],
        values["password"],
        date.fromisoformat(values["ends_on"]) if values["ends_on"] else None,
        datetime.fromisoformat(values["ends_at"]) if values["ends_at"] else None,
    )
