"""Talking to the sandbox over https: plain requests and the sandbox's own CA."""

import base64
import time

import requests

from sandbox import world

SCOPE = "https://graph.microsoft.com/.default"
GATEWAY = "gateway@contoso.test"


class Graph:
    """A client of one app registration, with plain requests and the sandbox's own CA."""

    def __init__(self, sandbox, client_id=world.CLIENT, secret="sandbox-secret", tenant=world.TENANT):
        self.sandbox, self.client_id, self.secret, self.tenant = sandbox, client_id, secret, tenant
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.verify = sandbox.ca_file
        self._token = None

    def ask_for_token(self, **form):
        data = {
            "client_id": self.client_id,
            "client_secret": self.secret,
            "grant_type": "client_credentials",
            "scope": SCOPE,
            **form,
        }
        data = {name: value for name, value in data.items() if value is not None}
        url = f"{self.sandbox.base_url}/{self.tenant}/oauth2/v2.0/token"
        return self.http.post(url, data=data, allow_redirects=False, timeout=30)

    @property
    def token(self):
        if self._token is None:
            self._token = self.ask_for_token().json()["access_token"]
        return self._token

    def call(self, method, path, *, headers=None, timeout=30, **arguments):
        headers = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        headers = {name: value for name, value in headers.items() if value is not None}
        url = path if path.startswith("https:") else f"{self.sandbox.base_url}/v1.0{path}"
        return self.http.request(
            method, url, headers=headers, timeout=timeout, allow_redirects=False, **arguments
        )

    def send(self, mime=None, mailbox=GATEWAY, **arguments):
        headers = {"Content-Type": "text/plain", **arguments.pop("headers", {})}
        body = arguments.pop("data", None)
        body = base64.b64encode(mail() if mime is None else mime) if body is None else body
        return self.call("POST", f"/users/{mailbox}/sendMail", data=body, headers=headers, **arguments)

    def send_json(self, message, mailbox=GATEWAY, **rest):
        return self.call("POST", f"/users/{mailbox}/sendMail", json={"message": message, **rest})


def mail(*lines, to="Ann <ann@example.org>", sender=f"Gateway <{GATEWAY}>", body="hello\r\n"):
    """MIME with a From and a To unless they are empty, `lines` as further header fields."""
    fields = [f"From: {sender}"] if sender else []
    fields += [f"To: {to}"] if to else []
    fields += [*lines, "Subject: A subject"]
    return ("\r\n".join(fields) + "\r\n\r\n" + body).encode()


def json_mail(**properties):
    return {
        "subject": "A subject",
        "body": {"contentType": "Text", "content": "hello"},
        "toRecipients": [{"emailAddress": {"address": "ann@example.org"}}],
        **properties,
    }


def error(response):
    return response.status_code, response.json()["error"]["code"]


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.02)
