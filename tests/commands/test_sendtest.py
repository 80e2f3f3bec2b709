"""`manage.py sendtest`: one mail through the whole path of a running gateway."""

import re

import pytest

from tests.harness.ports import free_port
from tests.harness.processes import manage


@pytest.fixture
def sendtest(embedded):
    """Run the command beside the gateway that listens on `listener`'s port."""

    def sendtest(listener, *arguments):
        return manage(listener.environment, "sendtest", "--to", "ann@example.org", *arguments, check=False)

    return sendtest


def test_it_sends_a_mail_and_tells_each_step(embedded, sendtest):
    listener = embedded.start()

    done = sendtest(listener)

    (delivered,) = embedded.delivered()
    assert done.returncode == 0, done.stdout + done.stderr
    assert delivered["recipients"] == ["ann@example.org"]
    steps = [
        "connecting to",
        "greeted by",
        "250 2.0.0 Ok: queued as",
        "a worker asks Graph",
        "HTTP 202",
        "sent:",
    ]
    assert [done.stdout.index(step) for step in steps] == sorted(done.stdout.index(step) for step in steps)


def test_it_ends_with_the_reason_when_graph_refuses_the_mailbox(embedded, sendtest):
    embedded.environment["SENDER_EMAIL"] = "unlicensed@contoso.test"
    listener = embedded.start()

    done = sendtest(listener)

    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: The mail is held.")
    assert "unlicensed@contoso.test" in done.stderr


def test_it_ends_with_the_refusal_of_our_own_door(embedded, sendtest):
    embedded.environment["SENDER_FROM_POLICY"] = "require"
    listener = embedded.start()

    done = sendtest(listener, "--from", "somebody@elsewhere.example")

    assert done.returncode == 1
    assert "The gateway refused DATA: 550 5.7.60" in done.stderr


def test_it_names_what_stands_in_the_way_when_time_is_up(embedded, sendtest):
    listener = embedded.start()
    embedded.sandbox.stop()

    done = sendtest(listener, "--timeout", "4")

    assert done.returncode == 1
    assert "After 4 s the mail is queued" in done.stderr
    # How the connection ends is the moment's; who did not answer, and what to look at, is not.
    assert re.search(r"\b(Entra at|Graph)\b", done.stderr), done.stderr
    assert "heck the network" in done.stderr
    assert "mailq show" in done.stderr


def test_it_says_that_nothing_listens(embedded, sendtest):
    manage(embedded.environment, "migrate", "--verbosity", "0")
    embedded.environment["SMTP_LISTENERS"] = f"smtp://127.0.0.1:{free_port()}"

    done = manage(embedded.environment, "sendtest", "--to", "ann@example.org", check=False)

    assert done.returncode == 1
    assert "Nothing answers on 127.0.0.1:" in done.stderr
    assert "Start the gateway" in done.stderr


def test_a_wildcard_listener_that_lets_in_other_networks_is_reached_from_one_of_them(settings, monkeypatch):
    from gateway.listeners import Listener
    from mailrelay.cli import own_listener
    from mailrelay.parsing import networks
    from mailrelay.routing.table import Client, RoutingTable

    settings.SMTP_LISTENERS = (Listener("0.0.0.0", 2525),)
    monkeypatch.setattr(own_listener, "_own_addresses", lambda _: ["192.0.2.9", "10.1.2.3"])

    way = own_listener.find(RoutingTable(clients=(Client(None, "private", networks("private")),)))

    assert (way.host, way.port, way.source) == ("10.1.2.3", 2525, "10.1.2.3")


def test_a_wildcard_listener_that_lets_in_loopback_is_reached_over_it(settings):
    from gateway.listeners import Listener
    from mailrelay.cli import own_listener
    from mailrelay.parsing import networks
    from mailrelay.routing.table import Client, RoutingTable

    settings.SMTP_LISTENERS = (Listener("0.0.0.0", 2525),)

    way = own_listener.find(RoutingTable(clients=(Client(None, "all", networks("loopback,private")),)))

    assert way.host == "127.0.0.1"
