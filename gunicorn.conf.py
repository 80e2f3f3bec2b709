"""Settings of `gunicorn gateway.wsgi`, the web process; arguments of the command line win.

https://docs.gunicorn.org/en/stable/settings.html
"""

import sys

from gateway import early
from gateway.env import Environment

_address = early.http_listen(Environment())
if _address is None:
    sys.exit("CommandError: HTTP_LISTEN is off, which leaves nothing to serve. Set it to host:port.")
_host, _port = _address
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"
#: One process, so that its metrics are whole.
workers = 1
worker_class = "mailrelay.processes.gunicorn_worker.FrontWorker"
#: Seconds for pages that are under way at SIGTERM.
graceful_timeout = 25
#: The proxy in front has the access log.
accesslog = None
#: No socket in the home directory, which may be read-only.
control_socket_disable = True
