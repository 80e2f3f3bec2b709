"""The control API: the world, what was delivered, and whom it listens to."""

import pytest
import requests

from sandbox import world
from sandbox.client import SandboxProcess
from tests.sandbox.graph_client import Graph, mail


def test_a_patch_merges_and_null_removes(sandbox):
    changed = sandbox.world(
        limits={"concurrency": 2},
        mailboxes={"new@contoso.test": {"tenant": world.TENANT}, "full@contoso.test": None},
    )
    assert (changed["limits"]["concurrency"], changed["limits"]["requests"]) == (2, 10_000)
    assert "new@contoso.test" in changed["mailboxes"]
    assert "full@contoso.test" not in changed["mailboxes"]
    assert Graph(sandbox).send(mail(sender=""), mailbox="new@contoso.test").status_code == 202


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"limits": {"concurency": 2}}, "concurency"),
        ({"planets": {}}, "planets"),
        ({"mailboxes": {"a@contoso.test": {"tenant": "nowhere"}}}, "nowhere"),
        ({"mailboxes": {"full@contoso.test": {"state": "sleepy"}}}, "must be one of"),
        ({"mailboxes": {"a@contoso.test": {}}}, "incomplete"),
    ],
)
def test_a_world_that_does_not_hold_together_is_refused_and_changes_nothing(sandbox, change, sentence):
    before = sandbox.world()
    with pytest.raises(ValueError, match=sentence):
        sandbox.world(**change)
    assert sandbox.world() == before


def test_the_whole_world_can_be_replaced(sandbox):
    document = sandbox.world()
    document["mailboxes"] = {}
    response = requests.put(f"{sandbox.page_url}/control/world", json=document, timeout=30)
    assert response.json()["mailboxes"] == {}
    assert Graph(sandbox).send().status_code == 404


def test_deliveries_can_be_listed_from_a_number_on(graph, sandbox):
    for _ in range(3):
        graph.send()
    numbers = [delivery["seq"] for delivery in sandbox.deliveries()]
    assert [delivery["seq"] for delivery in sandbox.deliveries(after=numbers[0])] == numbers[1:]


def test_waiting_for_deliveries_says_how_many_there_were(sandbox):
    with pytest.raises(TimeoutError, match="0 of 1"):
        sandbox.wait_for_deliveries(1, timeout=0.01)


def test_stats_count_requests_tokens_and_answers(sandbox):
    graph = Graph(sandbox)
    graph.send()
    graph.send(data=b"!!!")
    stats = sandbox.stats()
    assert stats["requests"] == {"token": 1, "sendMail": 2}
    assert stats["decisions"] == {"token issued": 1, "sendMail applied": 1, "sendMail refused": 1}
    assert (stats["tokens_issued"], stats["throttled"], stats["in_flight"]) == (1, 0, 0)
    assert stats["max_concurrency"] == {f"{world.CLIENT} gateway@contoso.test": 1}


def test_a_reset_forgets_mail_faults_and_changes(graph, sandbox):
    graph.send()
    sandbox.fault("any", "status", times=None)
    sandbox.world(limits={"concurrency": 1})
    sandbox.reset()
    assert (sandbox.deliveries(), sandbox.faults(), sandbox.stats()["requests"]) == ([], [], {})
    assert sandbox.world()["limits"]["concurrency"] == 4
    assert graph.send().status_code == 202


def test_memory_is_bounded_by_number_and_by_bytes(tmp_path):
    with SandboxProcess(tmp_path, "--keep", "5", "--keep-mib", "2") as sandbox:
        graph = Graph(sandbox)
        for _ in range(7):
            graph.send()
        assert [delivery["seq"] for delivery in sandbox.deliveries()] == [3, 4, 5, 6, 7]
        for _ in range(3):
            graph.send(mail(body="x" * 900_000))
        assert [delivery["seq"] for delivery in sandbox.deliveries()] == [9, 10]
        assert len(sandbox.ledger(where=lambda line: line["decision"] == "applied")) == 10


def test_a_stranger_s_web_site_cannot_reach_it(sandbox):
    url = f"{sandbox.page_url}/control/reset"
    assert requests.post(url, headers={"Origin": "https://evil.test"}, timeout=30).status_code == 403
    assert requests.post(url, headers={"Host": "evil.test:80"}, timeout=30).status_code == 403
    assert requests.get(sandbox.page_url, headers={"Host": "evil.test"}, timeout=30).status_code == 403
    assert requests.post(url, headers={"Origin": sandbox.page_url}, timeout=30).status_code == 204
