"""The running API holds what its description says, for requests that people would not think of."""

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from mailrelay.api.description import DESCRIPTION
from tests.api.running import installation
from tests.harness.processes import send

load_all_checks()
CHECKED = tuple(
    CHECKS.get_by_names(
        [
            "not_a_server_error",
            "status_code_conformance",
            "content_type_conformance",
            "response_headers_conformance",
            "response_schema_conformance",
            "negative_data_rejection",
            "unsupported_method",
        ]
    )
)
OPERATIONS = [found.ok() for found in schemathesis.openapi.from_dict(DESCRIPTION).get_all_operations()]


@schemathesis.serializer("message/rfc822")
def serialise(_context, value) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    place = installation(tmp_path_factory.mktemp("described"))
    place.prepare()
    gateway = place.start()
    send(gateway.smtp_port, b"From: app@contoso.test\r\nSubject: one\r\n\r\nbody\r\n")
    yield gateway
    place.close()
    place.sandbox.__exit__(None, None, None)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.name.lower())
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_each_answer_is_as_described(running, operation, mode):
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def holds(case):
        case.call_and_validate(
            base_url=f"http://127.0.0.1:{running.http_port}/api/v1",
            headers={"Authorization": "Bearer all"},
            checks=CHECKED,
            timeout=60,
        )

    holds()


def test_the_description_is_served(running):
    answer = requests.get(f"http://127.0.0.1:{running.http_port}/api/v1/openapi.json", timeout=10)
    assert answer.json() == DESCRIPTION
