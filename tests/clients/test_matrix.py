"""Every client sends a mail in every way that it can, and the mail is the one that was written."""

import email
import email.policy
import re

import pytest

from tests.clients import dialogues, drivers, satellites
from tests.clients.cells import ENCRYPTIONS, LOGINS, MAIL_FROM, RECIPIENTS, TEXT, Cell, Driver
from tests.smtp.smtp_server import eventually

CLIENTS: dict[str, Driver] = {
    "swaks": drivers.swaks,
    "curl": drivers.curl,
    "msmtp": drivers.msmtp,
    "Postfix": satellites.postfix,
    "Exim, BDAT": satellites.exim,
    "nodemailer": drivers.nodemailer,
    "Symfony Mailer": drivers.symfony,
    "smtplib": drivers.python_smtplib,
    "Django": drivers.django,
    "JavaMail": drivers.javamail,
    ".NET's bytes": dialogues.dot_net,
    "Zabbix's bytes": dialogues.zabbix,
    "Zabbix, no HELO": dialogues.zabbix_without_helo,
    "nc -N": drivers.half_closing_nc,
}


def only_plain(cell: Cell) -> bool:
    return cell.encryption != "plain" or bool(cell.mechanism)


#: What a client has no means for: not a hole of the matrix, a fact about the client.
CANNOT = {
    "Django": lambda cell: cell.login == "LOGIN",  # smtplib's login() takes PLAIN where both are offered
    ".NET's bytes": lambda cell: cell.encryption == "tls" or cell.login == "PLAIN",  # it knows neither
    "Zabbix's bytes": only_plain,
    "Zabbix, no HELO": only_plain,
    "nc -N": only_plain,
}
CELLS = [
    cell
    for client in CLIENTS
    for encryption in ENCRYPTIONS
    for login in LOGINS
    if not CANNOT.get(client, lambda _: False)(cell := Cell(client, encryption, login))
]


@pytest.mark.services
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_it_takes_the_mail_of(cell, entrance, tmp_path, record_property):
    record_property("matrix", (cell.client, cell.encryption, cell.login))
    entrance.queue.mails.clear()

    CLIENTS[cell.client](cell, entrance, tmp_path)

    eventually(lambda: entrance.queue.mails)
    ((submission, raw),) = entrance.queue.mails
    assert (submission.mail_from, submission.recipients) == (MAIL_FROM, RECIPIENTS)
    assert submission.subject == f"by {cell}"
    assert submission.client_id == (7 if cell.mechanism else None)
    assert re.search(rb"\swith (\w+) id ", raw)[1].decode() == cell.protocol
    text = email.message_from_bytes(raw, policy=email.policy.default).get_content()
    assert text.replace("\r\n", "\n").rstrip("\n") == TEXT.rstrip("\n")
