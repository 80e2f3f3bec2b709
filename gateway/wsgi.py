"""The web process: `gunicorn gateway.wsgi`. Probes and metrics answer before Django sees a request."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
django.setup()

from mailrelay.processes import web  # noqa: E402 - the rooms need the settings

application = web.application()
