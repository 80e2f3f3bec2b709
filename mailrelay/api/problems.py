"""Refusals as `application/problem+json` (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from django.http import JsonResponse

PROBLEM = "application/problem+json"


class ProblemError(Exception):
    """A request that gets a status and a sentence instead of an answer.

    `headers` go with the answer, `members` into its document beside type, title, status and detail.
    """

    def __init__(
        self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}
        self.members = members

    def response(self) -> JsonResponse:
        document = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": str(self),
            **self.members,
        }
        return JsonResponse(document, status=self.status, headers=self.headers, content_type=PROBLEM)


def bad_request(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, detail)


def not_found(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.NOT_FOUND, detail)
