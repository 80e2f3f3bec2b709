"""An installation with its web and its tokens, asked over real HTTP."""

import json
import textwrap
from dataclasses import dataclass, field

import requests

from sandbox.client import SandboxProcess
from tests.harness.ports import eventually
from tests.harness.processes import GatewayProcess, base_environment, manage, rows

#: Scopes of the tokens that each installation has, by name.
TOKENS = {
    "reads": "read",
    "operates": "operate",
    "tests": "test",
    "all": "read operate submit test",
    "strict": "submit",
    "small": "submit",
    "paced": "submit",
    "elsewhere": "submit",
    "nobody": "submit",
}
#: Columns of the SMTP clients whose rules hold for tokens of the same name.
CLIENTS = {
    "all": {},
    "strict": {"allowed_from": "app@contoso.test", "allowed_recipients": "@example.org"},
    "small": {"max_message_size": 2000},
    "paced": {"messages_per_minute": 2},
    "elsewhere": {"networks": "192.0.2.0/24"},
}
MAKE = """
import json, hashlib
from mailrelay.models import ApiToken, SmtpClient
tokens, clients = json.loads({0!r})
rows = {{name: SmtpClient.objects.create(name=name, login=name, **more) for name, more in clients.items()}}
for name, scopes in tokens.items():
    digest = hashlib.sha256(name.encode()).hexdigest()
    ApiToken.objects.create(
        name=name, digest=digest, scopes=scopes, client=rows.get(name), requests_per_minute=1000000
    )
"""
MAIL = textwrap.dedent(
    """\
    From: app@contoso.test
    To: Ann <ann@example.org>, bob@example.org
    Bcc: carol@example.org
    Subject: By HTTP

    Grüße
    .
    .. dots
    """
).encode()


@dataclass
class Installation:
    sandbox: SandboxProcess
    environment: dict[str, str]
    processes: list[GatewayProcess] = field(default_factory=list)

    def prepare(self, **tokens: str) -> None:
        """Make tables and rows; a token's value is its name."""
        manage(self.environment, "migrate", "--verbosity", "0")
        manage(
            self.environment, "shell", "-v", "0", "-c", MAKE.format(json.dumps([TOKENS | tokens, CLIENTS]))
        )

    def start(self, kind=GatewayProcess, **more: str) -> GatewayProcess:
        process = kind(self.environment, **more)
        self.processes.append(process)
        return process.start()

    def close(self) -> None:
        for process in self.processes:
            process.kill()

    def rows(self, query: str, *values) -> list[tuple]:
        return rows(self.environment, query, *values)

    def stored(self) -> int:
        return self.rows("SELECT COUNT(*) FROM mailrelay_message")[0][0]


def installation(folder) -> Installation:
    sandbox = SandboxProcess(folder / "sandbox")
    sandbox.__enter__()
    return Installation(sandbox, base_environment(folder / "data", sandbox))


def submit(process: GatewayProcess, token: str = "all", data=MAIL, query="", **headers) -> requests.Response:
    """Hand in a mail; names of `headers` have underscores for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(
        f"http://127.0.0.1:{process.http_port}/api/v1/submissions{query}",
        data=data,
        headers={"Content-Type": "message/rfc822", "Authorization": f"Bearer {token}"} | named,
        timeout=120,
    )


def ask(process: GatewayProcess, path: str, token: str = "all", method: str = "GET", **more):
    return requests.request(
        method,
        f"http://127.0.0.1:{process.http_port}/api/v1/{path}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
        **more,
    )


def wait_until_sent(process: GatewayProcess, queue_id: str) -> dict:
    found: dict = {}

    def sent() -> bool:
        found.update(ask(process, f"messages/{queue_id}").json())
        assert found["state"] != "failed", found
        return found["state"] == "sent"

    eventually(sent, 60, f"{queue_id} being sent")
    return found
