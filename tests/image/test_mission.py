"""The mission's unmodified manifest, only the image changed: 128 MiB, 0.2 CPU, four variables, no volume."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import requests
import yaml

from tests.image import pods
from tests.image.conftest import SECRETS
from tests.image.starting import ROOM, at_work, start
from tests.image.traffic import Traffic, large, small, wait_until_sent, without_limits
from tests.large.mails import MEBIBYTE, blob, digest, files, parsed

pytestmark = [pytest.mark.image, pytest.mark.timeout(900)]
PAGE = Path(__file__).parents[1] / "deploy" / "mission" / "manifests.yaml"
(POD,) = [
    document["spec"]["template"]["spec"]
    for document in yaml.safe_load_all(PAGE.read_text())
    if document["kind"] == "Deployment"
]
SIZES = (7, 25)  # MiB of attachment: mails of 10 and of 35 MB
REST = 20.0  # seconds after a burst


@pytest.fixture(scope="module")
def make(container, microsoft, tmp_path_factory):
    """Prepare a container of the page's pod."""
    return lambda: container([*pods.arguments(POD, SECRETS, tmp_path_factory.mktemp("volumes")), *microsoft])


@pytest.fixture(scope="module")
def gateway(make):
    """The pod that the tests below go on with, started once and no more."""
    return make()


@pytest.fixture
def running(gateway):
    """The pod, ready; the page's probes go on while a test works with it."""
    with at_work(gateway, pods.probes(POD)):
        yield gateway


def test_the_first_start_is_ready_with_nothing_in_the_page_cache(gateway, figures):
    start(gateway, pods.probes(POD), figures, "first start, cold", cold=True)


def test_a_restart_is_ready_with_nothing_in_the_page_cache(gateway, figures):
    if gateway.is_up():
        gateway.stop()
    start(gateway, pods.probes(POD), figures, "restart, cold", cold=True)


def test_the_first_start_is_ready_with_everything_in_the_page_cache(make, figures):
    another = make()
    start(another, pods.probes(POD), figures, "first start, warm", cold=False)
    another.remove()


def test_it_listens_on_port_25_as_a_user_that_is_not_root(running):
    assert running.users() == {"10001"}
    traffic = Traffic(running.address)
    traffic.at_once(small("first", 5))
    assert len(traffic.told) == 5


@pytest.mark.parametrize("command", ["mailq", "doctor", "sendtest --to ann@example.org"])
def test_a_command_beside_it_kills_nothing(command, running, figures):
    begun = time.monotonic()
    status, said = running.run("python", "manage.py", *command.split())
    more = f"{time.monotonic() - begun:.0f} s, exit {status}"
    running.note(figures, f"exec {command.split()[0]}", more=more)

    assert running.killed() == 0
    assert "Traceback" not in said
    assert status == 0, said


def test_guesses_of_a_password_kill_nothing(running, figures):
    with ThreadPoolExecutor(8) as people:
        answers = list(people.map(log_in, [running] * 8))
    running.note(figures, "8 logins at once")

    assert running.killed() == 0
    assert sum("correct username and password" in answer for answer in answers) >= 2, "no hash was computed"


def log_in(container) -> str:
    """Send the form of the login with a wrong password, as anyone may who reaches the port; give the page."""
    address, session = f"http://{container.address}:8080/admin/login/", requests.Session()
    session.headers["Host"] = "localhost"
    with suppress(requests.RequestException):
        session.get(address, timeout=60)
        form = {
            "username": "admin",
            "password": "wrong",
            "csrfmiddlewaretoken": session.cookies.get("csrftoken", ""),
        }
        return session.post(address, data=form, headers={"Referer": address}, timeout=60).text
    return ""


def test_a_burst_of_fifty_clients_and_the_largest_mail_lose_nothing(running, sandbox, figures):
    without_limits(running)
    traffic = Traffic(running.address)
    begun = time.monotonic()
    traffic.at_once(large("burst", 50, SIZES[0] * MEBIBYTE), 600)
    taken = time.monotonic() - begun
    running.note(figures, "50 clients, 10 MB each, taken", more=f"{taken:.0f} s, {traffic.again} tried again")
    traffic.at_once(large("largest", 3, SIZES[1] * MEBIBYTE), 300)
    assert traffic.refused == []
    wait_until_sent(running, sandbox, traffic.told, 600)
    more = f"{time.monotonic() - begun:.0f} s until all 53 are sent"
    running.note(figures, "and three of 35 MB, all sent", more=more)

    whole = {digest(blob(size * MEBIBYTE, 7)) for size in SIZES}
    for entry in sandbox.deliveries()[-6:]:
        assert set(files(parsed(sandbox.raw(entry["seq"]))).values()) <= whole
    running.stay(REST)
    running.note(figures, f"{REST:.0f} s after that")
    assert running.free() >= ROOM
    late = Traffic(running.address)
    late.at_once(small("late", 1), 5)
    assert late.told


def test_it_ends_in_order_at_sigterm(running):
    status, took = running.stop()

    assert status == 0
    assert took < 45
    running.start()
    assert running.seconds_until("/ready", 60)
