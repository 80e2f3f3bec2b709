"""An installation whose app registration is the admin's, and somebody at its web, for whole gateways."""

import re

import requests
import yaml

from tests.console.rows import CLIENT, TENANT
from tests.harness.processes import manage

PERSON = {"DJANGO_SUPERUSER_USERNAME": "root", "DJANGO_SUPERUSER_PASSWORD": "correct-horse-battery"}
OLD, NEW = "the-old-secret", "the-new-secret"


class Browser:
    """Somebody at the web of an installation."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        form = {"username": PERSON["DJANGO_SUPERUSER_USERNAME"], "next": "/admin/"}
        self.post("/admin/login/", form | {"password": PERSON["DJANGO_SUPERUSER_PASSWORD"]})

    def get(self, path: str) -> str:
        return self._session.get(self._base + path, timeout=60).text

    def post(self, path: str, form: dict[str, str]) -> str:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get(path))[1]
        answer = self._session.post(
            self._base + path, form | {"csrfmiddlewaretoken": token}, timeout=60, allow_redirects=True
        )
        assert answer.status_code == 200, answer.text
        return answer.text


def prepare(stack, folder) -> None:
    """Bring in an app registration of the admin's with the old secret, and a person who may sign in."""
    for name in [name for name in stack.environment if name.startswith(("AZURE_", "SENDER_EMAIL"))]:
        del stack.environment[name]
    base = stack.sandbox.base_url
    app = {"name": "contoso", "tenant_id": TENANT, "client_id": CLIENT, "secret": {"file": "old"}}
    document = {
        "apps": [app | {"authority_host": base, "graph_endpoint": base}],
        "mailboxes": [{"app": "contoso", "address": "gateway@contoso.test", "messages_per_minute": 0}],
        "senders": [{"name": "all", "app": "contoso", "mailbox": "gateway@contoso.test", "default": True}],
    }
    (folder / "old").write_text(OLD)
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(document))
    manage(stack.environment, "migrate", "--verbosity", "0")
    manage(stack.environment, "config", "apply", str(file))
    ours = "from mailrelay.models import AppRegistration as A; A.objects.update(managed_by='admin')"
    manage(stack.environment, "shell", "-c", ours)
    manage(stack.environment | PERSON, "createsuperuser", "--noinput", "--email", "root@contoso.test")
