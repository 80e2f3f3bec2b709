"""deploy/overlays/single in a container: no root, no capability, nothing to write but its volumes."""

import threading

import pytest
import yaml

from tests.image import pods
from tests.image.conftest import SECRETS
from tests.image.standins import ROOT
from tests.image.starting import at_work, start
from tests.image.traffic import Traffic, small, wait_until_sent

pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]
OVERLAY = ROOT / "deploy" / "overlays" / "single" / "deployment.yaml"
#: Minutes of waiting that no test needs.
SHORT = {
    "LEASE_SECONDS": "3",
    "UNCERTAIN_DELAY": "2",
    "DELIVERY_RETRY_MIN": "1",
    "SENDER_MESSAGES_PER_MINUTE": "0",
}
POD = yaml.safe_load(OVERLAY.read_text())["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def gateway(container, microsoft, tmp_path_factory):
    """The pod of the overlay; its volumes outlive its containers."""
    short = [word for pair in SHORT.items() for word in ("--env", "=".join(pair))]
    folder = tmp_path_factory.mktemp("volumes")
    return container([*pods.arguments(POD, SECRETS, folder), *microsoft, *short])


@pytest.fixture
def running(gateway):
    with at_work(gateway, pods.probes(POD)):
        yield gateway


def begin(traffic: Traffic, prefix: str, count: int, told: int) -> threading.Thread:
    """Let clients send all at once; return when `told` of them have their 250, while the others go on."""
    before = len(traffic.told)
    thread = threading.Thread(target=traffic.at_once, args=(small(prefix, count),), daemon=True)
    thread.start()
    while thread.is_alive() and len(traffic.told) < before + told:
        thread.join(0.05)
    return thread


def test_the_first_start_on_an_empty_volume_is_ready(gateway, figures):
    start(gateway, pods.probes(POD), figures, "single, first start, cold", cold=True)


def test_it_listens_on_port_25_without_root_or_a_capability(running):
    _, said = running.run("cat", "/proc/1/status")
    words = dict(line.split(":\t", 1) for line in said.splitlines())

    assert running.users() == {"10001"}
    assert {int(words[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {0}
    assert words["NoNewPrivs"] == "1"
    assert running.run("touch", "/app/written")[0] != 0
    assert b"css" in running.page("/admin/login/"), "the admin has no style sheet"
    traffic = Traffic(running.address)
    traffic.at_once(small("single", 3))
    assert len(traffic.told) == 3


def test_a_kill_in_the_midst_of_mail_loses_nothing(gateway, sandbox, figures):
    with at_work(gateway, pods.probes(POD)):
        traffic = Traffic(gateway.address)
    for turn in range(3):
        clients = begin(traffic, f"kill-{turn}", 60, told=20)
        gateway.kill()
        gateway.start()
        assert gateway.seconds_until("/ready", 60), gateway.logs()
        traffic.address = gateway.address
        clients.join()
    assert traffic.refused == []
    assert len(traffic.told) == 180
    wait_until_sent(gateway, sandbox, traffic.told, 120)
    gateway.note(figures, "single, killed three times, 180 mails", more=f"{traffic.again} tried again")


def test_sigterm_ends_it_in_order_and_the_rest_goes_out_after_the_start(gateway, sandbox, figures):
    with at_work(gateway, pods.probes(POD)):
        traffic = Traffic(gateway.address)
        clients = begin(traffic, "drain", 120, told=60)
    status, took = gateway.stop()
    gateway.start()
    assert gateway.seconds_until("/ready", 60), gateway.logs()
    traffic.address = gateway.address
    clients.join()
    figures.note("single, SIGTERM in the midst of 120 mails", more=f"ended after {took:.1f} s, exit {status}")

    assert status == 0
    assert took < 45
    assert len(traffic.told) == 120
    found = wait_until_sent(gateway, sandbox, traffic.told, 120)
    stored = {name for name in found.recorded if "-drain-" in name}
    assert stored == traffic.told, "stored, and the client was not told"
