"""Upload sessions: another origin, ranges in order, and the odd spelling of the answers."""

import hashlib
import random

import pytest

from tests.sandbox.graph_client import GATEWAY, error, json_mail, mail
from tests.sandbox.test_drafts import make, read_copy, send

MEBIBYTE = 1024 * 1024
SIZE = 3 * MEBIBYTE + 12_345


@pytest.fixture
def draft(writer):
    return make(writer, mail("MIME-Version: 1.0", "Content-Type: text/plain")).json()["id"]


def open_session(writer, draft, size=SIZE, **item):
    item = {"attachmentType": "file", "name": "big.bin", "size": size, **item}
    path = f"/users/{GATEWAY}/messages/{draft}/attachments/createUploadSession"
    return writer.call("POST", path, json={"AttachmentItem": item})


def put(writer, url, content, start=0, total=SIZE, end=None, **headers):
    end = start + len(content) - 1 if end is None else end
    headers = {
        "Authorization": None,
        "Content-Type": "application/octet-stream",
        "Content-Range": f"bytes {start}-{end}/{total}",
        **headers,
    }
    return writer.call("PUT", url, data=content, headers=headers)


def test_a_file_goes_up_in_ranges_and_arrives_whole(writer, sandbox, draft):
    content = random.Random(1).randbytes(SIZE)
    response = open_session(writer, draft)
    session = response.json()
    assert response.status_code == 201
    assert session["nextExpectedRanges"] == ["0-"]
    assert session["expirationDateTime"].endswith("Z")
    url = session["uploadUrl"]
    assert url.startswith(sandbox.upload_url)
    assert not url.startswith(sandbox.base_url)

    first = put(writer, url, content[: 2 * MEBIBYTE])
    assert first.status_code == 200
    assert first.json()["nextExpectedRanges"] == [str(2 * MEBIBYTE)]
    assert "ExpirationDateTime" in first.json()
    last = put(writer, url, content[2 * MEBIBYTE :], 2 * MEBIBYTE)
    assert (last.status_code, last.content) == (201, b"")
    assert "/Attachments('" in last.headers["Location"]

    assert send(writer, draft).status_code == 202
    copy = read_copy(sandbox)
    (part,) = copy.iter_attachments()
    assert hashlib.sha256(part.get_content()).digest() == hashlib.sha256(content).digest()
    assert copy.get_body().get_content().strip() == "hello"


def test_the_upload_url_has_the_host_name_that_the_client_uses(writer, sandbox, draft):
    port = sandbox.base_url.rpartition(":")[2]
    path = f"/v1.0/users/{GATEWAY}/messages/{draft}/attachments/createUploadSession"
    item = {"AttachmentItem": {"attachmentType": "file", "name": "n", "size": SIZE}}
    session = writer.call("POST", f"https://localhost:{port}{path}", json=item).json()
    assert session["uploadUrl"].startswith("https://localhost:")
    assert put(writer, session["uploadUrl"], b"x" * 100).status_code == 200


def test_an_authorization_header_is_refused(writer, draft):
    url = open_session(writer, draft).json()["uploadUrl"]
    response = put(writer, url, b"x", Authorization=f"Bearer {writer.token}")
    assert response.status_code == 401


def test_another_authtoken_is_refused(writer, draft):
    url = open_session(writer, draft).json()["uploadUrl"]
    assert put(writer, url[:-4] + "0000", b"x").status_code == 401


def test_ranges_must_come_in_order_and_once(writer, draft):
    url = open_session(writer, draft).json()["uploadUrl"]
    assert error(put(writer, url, b"x" * 100, start=100)) == (416, "fragmentOutOfOrder")
    assert put(writer, url, b"x" * 100).status_code == 200
    assert error(put(writer, url, b"x" * 100)) == (416, "fragmentOverlap")


def test_a_range_must_be_what_it_says(writer, draft):
    url = open_session(writer, draft).json()["uploadUrl"]
    assert error(put(writer, url, b"x" * 100, end=200)) == (400, "fragmentLengthMismatch")
    assert error(put(writer, url, b"x", total=SIZE + 1)) == (416, "invalidRange")
    assert error(put(writer, url, b"x", **{"Content-Range": "bytes=0-0"})) == (400, "invalidRange")


def test_a_range_above_4_mib_is_too_large(writer, draft):
    url = open_session(writer, draft, size=6 * MEBIBYTE).json()["uploadUrl"]
    response = put(writer, url, b"x" * (4 * MEBIBYTE + 1), total=6 * MEBIBYTE)
    assert error(response) == (413, "RequestEntityTooLarge")
    assert put(writer, url, b"x" * 4 * MEBIBYTE, total=6 * MEBIBYTE).status_code == 200


def test_below_3_mb_a_session_is_refused(writer, draft):
    response = open_session(writer, draft, size=3 * MEBIBYTE - 1)
    assert error(response) == (400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize")


def test_above_150_mb_a_session_is_refused(writer, draft):
    response = open_session(writer, draft, size=150 * MEBIBYTE + 1)
    assert error(response) == (400, "ErrorAttachmentSizeLimitExceeded")


def test_the_size_of_the_message_is_judged_when_the_upload_is_complete(writer, sandbox, draft):
    sandbox.world(limits={"message_bytes": SIZE - 1})
    url = open_session(writer, draft).json()["uploadUrl"]
    assert error(put(writer, url, b"x" * SIZE)) == (400, "ErrorMessageSizeExceeded")


def test_an_expired_session_is_not_found(writer, sandbox, draft):
    url = open_session(writer, draft).json()["uploadUrl"]
    sandbox.fault("upload", "expire_session")
    assert error(put(writer, url, b"x" * 100)) == (404, "uploadSessionNotFound")
    assert error(put(writer, url, b"x" * 100)) == (404, "uploadSessionNotFound")


def test_the_state_of_a_session_can_be_asked_and_the_session_cancelled(writer, draft):
    url = open_session(writer, draft).json()["uploadUrl"]
    put(writer, url, b"x" * 100)
    bare = {"Authorization": None}
    assert writer.call("GET", url, headers=bare).json()["nextExpectedRanges"] == ["100-"]
    assert writer.call("DELETE", url, headers=bare).status_code == 204
    assert writer.call("GET", url, headers=bare).status_code == 404


def test_a_range_that_was_answered_with_an_error_after_it_was_applied_is_not_lost(writer, sandbox, draft):
    url = open_session(writer, draft).json()["uploadUrl"]
    sandbox.fault("upload", "accept_then_status", status=503)
    assert put(writer, url, b"x" * 100).status_code == 503
    state = writer.call("GET", url, headers={"Authorization": None}).json()
    assert state["nextExpectedRanges"] == ["100-"]


def test_uploads_count_towards_the_bytes_in_five_minutes(writer, sandbox, draft):
    url = open_session(writer, draft).json()["uploadUrl"]
    sandbox.world(limits={"upload_bytes": 50_000})
    assert error(put(writer, url, b"x" * 60_000)) == (429, "ApplicationThrottled")


def test_sessions_on_mime_drafts_can_be_switched_off(writer, sandbox, draft):
    sandbox.world(behaviour={"upload_to_mime_drafts": False})
    assert open_session(writer, draft).status_code == 400
    other = writer.call("POST", f"/users/{GATEWAY}/messages", json=json_mail()).json()["id"]
    assert open_session(writer, other).status_code == 201


def test_an_upload_session_needs_mail_read_write(graph, writer, draft):
    assert error(open_session(graph, draft)) == (403, "ErrorAccessDenied")
