"""The web process: `gunicorn gateway.wsgi`. Probes and metrics answer before Django sees a request."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

from django.core.wsgi import get_wsgi_application

from mailrelay.health.serving import web_application

application = web_application(get_wsgi_application())
