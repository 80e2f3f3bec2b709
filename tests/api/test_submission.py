"""Mail by HTTP: stored before the answer, by the rules of SMTP, once for each key."""

import re
import threading
from email import message_from_bytes

import pytest
import requests

from tests.api.running import MAIL, Installation, ask, installation, submit, wait_until_sent
from tests.harness.ports import eventually
from tests.harness.processes import GatewayProcess, Web, base_environment, send

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = installation(tmp_path_factory.mktemp("api"))
    made.prepare()
    yield made
    made.close()
    made.sandbox.__exit__(None, None, None)


@pytest.fixture(scope="module")
def gateway(place):
    return place.start()


def refused(answer, status: int, enhanced: str) -> dict:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, PROBLEM), answer.text
    problem = answer.json()
    assert problem["enhanced_status"] == enhanced, problem
    assert problem["status"] == status
    return problem


def delivered(place, queue_id: str) -> dict:
    """Find the one copy that Graph took."""
    own = f"Message-ID: <{queue_id}@gateway.test>".encode()
    (found,) = [mail for mail in place.sandbox.deliveries() if own in place.sandbox.raw(mail["seq"])]
    return found


def test_a_mail_arrives_at_those_whom_its_header_names(place, gateway):
    answer = submit(gateway)
    assert answer.status_code == 202, answer.text
    queue_id = answer.json()["id"]
    assert answer.headers["Location"] == f"/api/v1/messages/{queue_id}"
    told = wait_until_sent(gateway, queue_id)
    assert told["mail_from"] == "app@contoso.test"
    mail = delivered(place, queue_id)
    assert (mail["to"], mail["bcc"]) == (["ann@example.org", "bob@example.org"], ["carol@example.org"])
    parsed = message_from_bytes(place.sandbox.raw(mail["seq"]))
    assert parsed.get_payload(decode=True) == "Grüße\r\n.\r\n.. dots\r\n".encode()


@pytest.mark.parametrize(
    "value", ["'app@contoso.test'", '"App <app@contoso.test>"', "=?utf-8?q?App_=3Capp=40contoso=2Etest=3E?="]
)
def test_an_author_in_odd_wrapping_is_the_sender_where_no_other_is_given(gateway, value):
    answer = submit(
        gateway,
        "strict",
        data=MAIL.replace(b"app@contoso.test", value.encode(), 1),
        query="?to=a@example.org",
    )
    assert answer.status_code == 202, answer.text
    assert wait_until_sent(gateway, answer.json()["id"])["mail_from"] == "app@contoso.test"
    other = submit(
        gateway, "strict", data=MAIL.replace(b"app@contoso.test", value.replace("app", "x").encode(), 1)
    )
    assert other.status_code == 403


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\n", b"\r\n\r\n"])
def test_what_stands_before_the_header_is_forgiven(place, gateway, before):
    queue_id = submit(gateway, data=before + MAIL).json()["id"]
    assert wait_until_sent(gateway, queue_id)["subject"] == "By HTTP"
    assert message_from_bytes(place.sandbox.raw(delivered(place, queue_id)["seq"]))["Subject"] == "By HTTP"


@pytest.mark.parametrize(("charset", "text"), [("gb2312", "报告文件"), ("windows-1251", "Отчёт")])
def test_a_raw_subject_is_read_in_the_charset_of_the_mail(gateway, charset, text):
    fields = f"Subject: {text}\nContent-Type: text/plain; charset={charset}\n".encode(charset)
    queue_id = submit(gateway, data=MAIL.replace(b"Subject: By HTTP\n", fields)).json()["id"]
    assert wait_until_sent(gateway, queue_id)["subject"] == text


@pytest.mark.parametrize("end", [b"\r\r\n", b"\r\r\r\n"])
def test_several_cr_before_an_lf_are_one_line_end(place, gateway, end):
    queue_id = submit(gateway, data=MAIL.replace(b"\n", end)).json()["id"]
    wait_until_sent(gateway, queue_id)
    parsed = message_from_bytes(place.sandbox.raw(delivered(place, queue_id)["seq"]))
    assert (parsed["Subject"], parsed["To"]) == ("By HTTP", "Ann <ann@example.org>, bob@example.org")
    assert parsed.get_payload(decode=True) == "Grüße\r\n.\r\n.. dots\r\n".encode()


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?from=bounce@contoso.test&to=dora@example.org&to=emil@example.org", {}),
        ("?from=bounce@contoso.test&to=dora@example.org,emil@example.org", {}),
        (
            "",
            {
                "X_Envelope_From": "<bounce@contoso.test>",
                "X_Envelope_To": "dora@example.org, emil@example.org",
            },
        ),
    ],
)
def test_an_envelope_that_is_given_decides(gateway, query, headers):
    told = wait_until_sent(gateway, submit(gateway, query=query, **headers).json()["id"])
    assert told["mail_from"] == "bounce@contoso.test"
    assert [one["address"] for one in told["recipients"]] == ["dora@example.org", "emil@example.org"]


def test_the_trace_says_that_it_came_by_http(place, gateway):
    queue_id = submit(gateway).json()["id"]
    (head,) = place.rows(
        "SELECT data FROM mailrelay_contentchunk WHERE content = %s AND number = 0", queue_id
    )[0]
    assert bytes(head).startswith(b"Received: from all ([127.0.0.1])\r\n\tby gateway.test")
    assert f" with HTTP id {queue_id};".encode() in bytes(head)


def test_a_repetition_of_a_key_gives_the_same_queue_id(place, gateway):
    before = place.stored()
    first, second = (submit(gateway, Idempotency_Key="invoice 7") for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert (first.headers.get("Idempotent-Replayed"), second.headers["Idempotent-Replayed"]) == (None, "true")
    assert place.stored() == before + 1


def test_the_same_mail_without_a_key_is_a_repetition_by_its_message_id(place, gateway):
    data = MAIL.replace(b"Subject", b"Date: 1 Dec 2026 08:00 +0000\nMessage-ID: <twice@app.test>\nSubject")
    before = place.stored()
    first, second, other = (
        submit(gateway, data=data),
        submit(gateway, data=data),
        submit(gateway, data=data + b"."),
    )
    assert first.json() == second.json() != other.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    assert place.stored() == before + 2


def test_a_key_says_that_the_same_mail_is_meant_again(place, gateway):
    data = MAIL.replace(b"Subject", b"Message-ID: <keyed@app.test>\nSubject")
    before = place.stored()
    ids = {submit(gateway, data=data, Idempotency_Key=key).json()["id"] for key in ("k1", "k2")}
    assert len(ids) == 2
    assert place.stored() == before + 2


def test_repetitions_at_the_same_time_are_one_message(place, gateway):
    before, answers = place.stored(), []
    large = MAIL + b"x" * 70 + b"\n" + b"y" * 600_000
    work = lambda: answers.append(submit(gateway, data=large, Idempotency_Key="at once"))
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [202] * 4
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert place.stored() == before + 1


@pytest.mark.parametrize("change", [{"data": MAIL + b"more\n"}, {"query": "?to=other@example.org"}])
def test_a_key_is_not_for_another_mail(gateway, change):
    key = f"changed {sorted(change)}"
    assert submit(gateway, Idempotency_Key=key).status_code == 202
    refused(submit(gateway, Idempotency_Key=key, **change), 422, "5.5.4")


KEYS = (
    "a",
    "~",
    "invoice 7",
    "x" * 255,
    "x" * 256,
    "",
    "caf\u00e9",
    "a\tb",
    "a\u007fb",
    "a\u0080b",
    '{"a": 1}',
)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_taken_where_the_description_says_so(gateway, key):
    document = requests.get(f"http://127.0.0.1:{gateway.http_port}/api/v1/openapi.json", timeout=10).json()
    parameters = document["paths"]["/submissions"]["post"]["parameters"]
    (pattern,) = [one["schema"]["pattern"] for one in parameters if one["name"] == "Idempotency-Key"]

    answer = submit(gateway, Idempotency_Key=key)

    assert answer.status_code == (202 if re.search(pattern, key) else 400)


def test_keys_of_two_tokens_are_two_keys(gateway):
    first = submit(gateway, Idempotency_Key="shared")
    second = submit(gateway, "strict", query="?to=ann@example.org", Idempotency_Key="shared")
    assert first.json()["id"] != second.json()["id"]


@pytest.mark.parametrize(
    ("token", "query", "data", "status", "enhanced"),
    [
        ("strict", "?from=other@contoso.test&to=ann@example.org", MAIL, 403, "5.7.1"),
        ("strict", "", MAIL.replace(b"From: app@", b"From: other@"), 403, "5.7.1"),
        ("strict", "?from=app@contoso.test&to=ann@example.com", MAIL, 403, "5.7.1"),
        ("strict", "?to=ann@example.org&to=ann@example.com", MAIL, 403, "5.7.1"),
        ("small", "", MAIL + b"x" * 3000, 413, "5.3.4"),
        ("elsewhere", "", MAIL, 403, "5.7.1"),
        ("nobody", "", MAIL, 403, "5.7.1"),
        ("all", "?to=nonsense", MAIL, 422, "5.1.3"),
        ("all", "?to=", MAIL, 422, "5.5.1"),
        ("all", "", b"From: app@contoso.test\n\nto nobody\n", 422, "5.5.1"),
        ("all", "?to=a@example.org", b"Received: x\r\n" * 60 + MAIL, 422, "5.4.6"),
        ("all", f"?to={','.join(f'a{n}@example.org' for n in range(1001))}", MAIL, 422, "4.5.3"),
    ],
)
def test_what_smtp_refuses_is_refused_with_its_code(place, gateway, token, query, data, status, enhanced):
    before = place.stored()
    problem = refused(submit(gateway, token, data, query), status, enhanced)
    assert problem["detail"]
    assert place.stored() == before


def test_the_rate_of_a_client_counts_here_as_well(gateway):
    answers = [submit(gateway, "paced") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert refused(answers[2], 429, "4.7.1")["rule"] == "client-rate"
    assert int(answers[2].headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("token", "rule", "client", "headers"),
    [
        ("strict", "client-recipient", "strict", {}),
        ("elsewhere", "client-network", "elsewhere", {}),
        ("nobody", "token-client", "", {}),
        ("all", "idempotency-key", "all", {"Idempotency_Key": "refused"}),
    ],
)
def test_what_is_refused_is_on_the_list_of_refusals(place, gateway, token, rule, client, headers):
    listed = "SELECT mail_from, count FROM mailrelay_refusal WHERE rule = %s AND client_name = %s"
    before = dict(place.rows(listed, rule, client)).get("app@contoso.test", 0)
    for number in range(2):
        data = MAIL + str(number).encode()
        query = "?from=app@contoso.test&to=ann@example.com"
        submit(gateway, token, data, query, **headers)

    def counted() -> bool:
        return dict(place.rows(listed, rule, client)).get("app@contoso.test", 0) > before

    eventually(counted, 60, "the refusal being written down")


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"Content_Type": "text/plain"}, "", 415),
        ({"Idempotency_Key": "x" * 256}, "", 400),
        ({}, "?cc=ann@example.org", 400),
        ({}, "?to=ann%0d%0a@example.org", 400),
    ],
)
def test_a_request_that_is_none_is_refused(gateway, headers, query, status):
    answer = submit(gateway, query=query, **headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, PROBLEM)


def test_a_body_of_unknown_length_is_taken_too(gateway):
    answer = submit(gateway, data=iter([MAIL[:50], MAIL[50:]]), query="?to=ann@example.org")
    assert answer.status_code == 202, answer.text
    wait_until_sent(gateway, answer.json()["id"])


def test_thirty_five_megabytes_do_not_stand_in_memory(place, gateway):
    line = b"x" * 75 + b"\r\n"
    large = MAIL + line * (35_000_000 // len(line))
    submit(gateway)
    before = gateway.rss()
    # The sandbox's sender may write no drafts: size alone decides, after all of it was read.
    answers = [submit(gateway, data=large, query="?to=ann@example.org") for _ in range(3)]
    assert {answer.status_code for answer in answers} <= {202, 413}
    assert gateway.rss() - before < 24 * 1024 * 1024


def test_a_web_process_without_a_listener_takes_mail_too(place, gateway):
    web = place.start(Web)
    announced = submit(web, query="?to=ann@example.org")
    chunked = submit(web, data=iter([MAIL[:50], MAIL[50:]]), query="?to=ann@example.org")
    for answer in (announced, chunked):
        assert answer.status_code == 202, answer.text
        wait_until_sent(gateway, answer.json()["id"])


def test_a_test_mail_goes_the_whole_way(gateway):
    answer = ask(gateway, "tests", "tests", "POST", json={"to": "ann@example.org"})
    assert answer.status_code == 202, answer.text
    told = wait_until_sent(gateway, answer.json()["id"])
    assert told["subject"] == "Test of the mail gateway"
    none = ask(gateway, "tests", "tests", "POST", json={"to": "ann@example.org", "sender": "nobody"})
    assert none.status_code == 409


def test_mail_by_smtp_and_by_http_is_one_queue(gateway):
    by_smtp, by_http = send(gateway.smtp_port, MAIL.replace(b"\n", b"\r\n")), submit(gateway).json()["id"]
    listed = [one["id"] for one in ask(gateway, "messages?limit=2").json()["messages"]]
    assert listed == [by_http, by_smtp]


@pytest.mark.parametrize("failpoint", ["accept.before", "accept.after", "reply.before"])
def test_a_kill_before_the_answer_loses_nothing_and_doubles_nothing(tmp_path, sandbox, failpoint):
    place = Installation(sandbox, base_environment(tmp_path / "data", sandbox))
    place.prepare()
    try:
        process = GatewayProcess(place.environment)
        place.processes.append(process)
        process.start(FAILPOINT=failpoint)
        with pytest.raises(Exception, match=r"(?i)connection|remote|read"):
            submit(process, Idempotency_Key="once")
        process.wait_until_killed()
        stored = place.stored()
        assert stored == (0 if failpoint == "accept.before" else 1)
        process.start()
        answer = submit(process, Idempotency_Key="once")
        assert answer.status_code == 202, answer.text
        wait_until_sent(process, answer.json()["id"])
        assert place.stored() == 1
        assert len(place.sandbox.deliveries()) == 1
    finally:
        place.close()


@pytest.mark.services
def test_repetitions_in_two_web_processes_are_one_message(on_redis):
    place = Installation(on_redis.sandbox, on_redis.environment)
    place.prepare()
    try:
        webs, answers = [place.start(Web) for _ in range(2)], []

        def hand_in(web, key):
            answers.append(submit(web, Idempotency_Key=key))

        for turn in range(5):
            key = f"turn {turn}"
            threads = [threading.Thread(target=hand_in, args=(web, key)) for web in webs * 2]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert [answer.status_code for answer in answers] == [202] * 20
        assert len({answer.json()["id"] for answer in answers}) == 5
        assert place.stored() == 5
        on_redis.worker().start()
        on_redis.wait_for(sent=5)
    finally:
        place.close()
