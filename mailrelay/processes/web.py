"""`gunicorn gateway.wsgi`: the admin behind the probes."""

import logging
import os
import sys
import threading
from dataclasses import replace

from django.core.management.base import CommandError
from django.core.wsgi import get_wsgi_application
from django.db import DatabaseError, connection

from mailrelay.health.monitor import monitor
from mailrelay.health.serving import Application, web_application
from mailrelay.outbox.accepting.accept import Acceptor
from mailrelay.outbox.scheduling import scheduler
from mailrelay.processes import preflight
from mailrelay.processes.gunicorn_worker import BOOT_ERROR
from mailrelay.processes.relay import options
from mailrelay.routing.watch import ConfigurationWatch
from mailrelay.smtp import injection
from mailrelay.smtp.client_log import Recorder
from mailrelay.smtp.context import Context

log = logging.getLogger(__name__)

#: Seconds between two looks for the tables that the first administrator needs.
INTERVAL = 1.0


def application() -> Application:
    """Return the WSGI application; ends the process with a sentence where it is misconfigured."""
    django = get_wsgi_application()
    try:
        preflight.refuse_misconfiguration()
        preflight.refuse_misreading_python()
    except CommandError as error:
        sys.stderr.write(f"CommandError: {error}\n")
        sys.exit(BOOT_ERROR)
    served = web_application(django)
    injection.provide(injection.beside_no_listener(_context))
    threading.Thread(target=_once_the_tables_are_there, name="administrator", daemon=True).start()
    return served


def _context() -> Context:
    """Make what mail by HTTP needs here; at the first one, since threads do not outlive gunicorn's fork."""
    without_tls = replace(options(), tls_certificate=None, tls_key=None)
    context = Context(without_tls, ConfigurationWatch(), Acceptor(accepted=scheduler.wake))
    Recorder(context.client_log).start()
    return context


def _once_the_tables_are_there() -> None:
    """Look at the field keys and make the first administrator, which may be long after the start."""
    while not monitor.wait_for_tables(INTERVAL):
        threading.Event().wait(INTERVAL)
    try:
        preflight.refuse_wrong_field_key()
        if path := preflight.first_administrator():
            log.warning("the first administrator's password is in %s", path)
    except CommandError as error:
        sys.stderr.write(f"CommandError: {error}\n")
        sys.stderr.flush()
        os._exit(BOOT_ERROR)  # from a thread: gunicorn ends with its worker, before anybody enters a secret
    except (DatabaseError, OSError) as error:
        log.warning("no first administrator was made (%s); manage.py createsuperuser does", error)
    finally:
        connection.close()
