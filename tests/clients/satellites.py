"""Postfix and Exim as satellites: they take a mail on their own machine and hand it on to the gateway."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.clients.cells import LOGIN, MAIL_FROM, PASSWORD, RECIPIENTS, Cell, Entrance, content
from tests.clients.drivers import TOOLS, needed, run
from tests.harness.ports import eventually
from tests.harness.services import program

#: Without these their master program cannot work.
POSTFIX_SERVICES = """\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
retry unix - - n - - error
smtp unix - - n - - smtp
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


def _only_root(name: str) -> None:
    if os.getuid() != 0:
        reason = f"{name} starts as root only"
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def _folder_for_others(entrance: Entrance) -> Iterator[tuple[Path, Entrance]]:
    """Give a folder that other users may enter (those of pytest they may not), and `entrance` in it."""
    folder = Path(tempfile.mkdtemp(prefix="satellite-"))
    folder.chmod(0o755)
    try:
        yield folder, replace(entrance, ca=Path(shutil.copy(entrance.ca, folder)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postfix(cell: Cell, entrance: Entrance, folder: Path) -> None:
    """A null client: sendmail, the queue, relayhost."""
    _only_root("Postfix")
    command = program("postfix")
    with _folder_for_others(entrance) as (own_folder, own_entrance):
        _postfix(command, cell, own_entrance, own_folder)


def _postfix(command: str, cell: Cell, entrance: Entrance, folder: Path) -> None:
    etc, queue, state = (folder / name for name in ("etc", "queue", "lib"))
    for each in (etc, queue, state):
        each.mkdir()
        each.chmod(0o755)
    shutil.chown(state, "postfix")
    (etc / "master.cf").write_text(POSTFIX_SERVICES)
    (etc / "main.cf").write_text(_main(cell, entrance, folder))
    started = subprocess.run([command, "-c", etc, "start"], capture_output=True, text=True, check=False)
    log = folder / "log"
    assert started.returncode == 0, started.stderr + (log.read_text() if log.exists() else "no log")
    try:
        run(
            *(program("sendmail"), "-C", etc, "-i", "-f", MAIL_FROM, "--", *RECIPIENTS),
            text=content(f"by {cell}"),
        )

        def sent() -> bool:
            said = log.read_text() if log.exists() else ""
            assert "status=deferred" not in said and "status=bounced" not in said, said
            return said.count("status=sent") == len(RECIPIENTS)

        eventually(sent, 90, f"Postfix's delivery to the gateway (see {log})")
    finally:
        subprocess.run([command, "-c", etc, "stop"], capture_output=True, check=False)


def _main(cell: Cell, entrance: Entrance, folder: Path) -> str:
    level = "none" if cell.encryption == "plain" else "secure"
    values = {
        "compatibility_level": "3.6",
        "queue_directory": folder / "queue",
        "data_directory": folder / "lib",
        "maillog_file": folder / "log",
        "maillog_file_prefixes": folder,
        "mail_owner": "postfix",
        "setgid_group": "postdrop",
        "myhostname": "satellite.test",
        "mydestination": "",
        "inet_interfaces": "loopback-only",
        "inet_protocols": "ipv4",
        "alias_maps": "",
        "relayhost": f"[localhost]:{entrance.ports[cell.encryption]}",
        "smtp_host_lookup": "native",
        "smtp_tls_security_level": level,
        "smtp_tls_secure_cert_match": "localhost",
        "smtp_tls_CAfile": entrance.ca,
        "smtp_tls_wrappermode": "yes" if cell.encryption == "tls" else "no",
        "smtp_sasl_auth_enable": "yes" if cell.mechanism else "no",
        "smtp_sasl_password_maps": f"inline:{{ {{ [localhost]:{entrance.ports[cell.encryption]} = "
        f"{LOGIN}:{PASSWORD} }} }}",
        "smtp_sasl_mechanism_filter": cell.mechanism or "plain",
        "smtp_sasl_security_options": "noanonymous",
        "smtp_sasl_tls_security_options": "noanonymous",
    }
    return "".join(f"{name} = {value}\n" for name, value in values.items())


def exim(cell: Cell, entrance: Entrance, folder: Path) -> None:
    """A smarthost configuration; Exim says BDAT where CHUNKING is offered, and it is."""
    _only_root("Exim, unpacked,")
    command = needed(TOOLS / "exim/usr/sbin/exim4", "scripts/install-test-clients.sh brings it")
    with _folder_for_others(entrance) as (own_folder, own_entrance):
        _run_exim(command, cell, own_entrance, own_folder)


def _run_exim(command: Path, cell: Cell, entrance: Entrance, folder: Path) -> None:
    spool = folder / "spool"
    spool.mkdir()
    shutil.chown(spool, "Debian-exim")
    configuration = folder / "exim.conf"
    configuration.write_text(_exim(cell, entrance, command, spool))
    run(
        *(command, "-C", configuration, "-odf", "-oem", "-i", "-f", MAIL_FROM, "--", *RECIPIENTS),
        text=content(f"by {cell}"),
    )
    said = (spool / "log/mainlog").read_text()
    assert said.count(" => ") + said.count(" -> ") == len(RECIPIENTS), said
    # K: its delivery line says that the content went by CHUNKING.
    assert " K " in said and 'C="250' in said, said


def _exim(cell: Cell, entrance: Entrance, command: Path, spool: Path) -> str:
    tls = {
        "plain": "  hosts_avoid_tls = *",
        "starttls": "  hosts_require_tls = *",
        "tls": "  protocol = smtps\n  hosts_require_tls = *",
    }[cell.encryption]
    login = {
        "PLAIN": f'client_send = "^{LOGIN}^{PASSWORD}"',
        "LOGIN": f'client_send = ": {LOGIN} : {PASSWORD}"',
    }.get(cell.mechanism, 'client_send = ""')
    return f"""\
primary_hostname = satellite.test
exim_path = {command}
spool_directory = {spool}
log_file_path = {spool}/log/%slog
log_selector = +smtp_confirmation
keep_environment =
trusted_users = root
no_message_logs
tls_advertise_hosts =
begin routers
smarthost:
  driver = manualroute
  route_list = * localhost::{entrance.ports[cell.encryption]} byname
  host_find_failed = defer
  self = send
  transport = gateway
begin transports
gateway:
  driver = smtp
  port = {entrance.ports[cell.encryption]}
{tls}
  tls_verify_certificates = {entrance.ca}
  tls_verify_cert_hostnames = *
  {"hosts_require_auth = *" if cell.mechanism else "hosts_try_auth ="}
begin authenticators
login:
  driver = plaintext
  public_name = {cell.mechanism or "PLAIN"}
  {login}
"""
