"""A logged-in browser, and a queue with something in it."""

import pytest
from django.test import Client

from mailrelay.outbox.db import clock
from tests.console.rows import make_registration, make_sender


@pytest.fixture
def root(django_user_model):
    # Without a password: hashing one for each test would take longer than the tests.
    return django_user_model.objects.create(username="root", is_staff=True, is_superuser=True)


@pytest.fixture
def browser(root) -> Client:
    client = Client()
    client.force_login(root)
    return client


@pytest.fixture
def reader(django_user_model) -> Client:
    """Somebody who may see messages and nothing else."""
    from django.contrib.auth.models import Permission

    user = django_user_model.objects.create(username="reader", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_message"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def registration(db):
    return make_registration()


@pytest.fixture
def sender(registration):
    return make_sender(registration)


@pytest.fixture
def now():
    return clock.now()


@pytest.fixture
def at_nowhere(settings):
    """Let hosts be entered that answer nothing."""
    settings.AZURE_AUTHORITY_HOST = settings.GRAPH_ENDPOINT = "https://127.0.0.1:9"


@pytest.fixture(scope="module")
def microsoft(tmp_path_factory):
    from sandbox.client import SandboxProcess

    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as process:
        yield process


@pytest.fixture
def at_microsoft(microsoft, monkeypatch, settings) -> dict[str, str]:
    """The columns of an app registration of the sandbox's, whose certificate is believed."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", microsoft.ca_file)
    settings.AZURE_AUTHORITY_HOST = settings.GRAPH_ENDPOINT = microsoft.base_url
    return {"cloud": "", "authority_host": microsoft.base_url, "graph_endpoint": microsoft.base_url}
