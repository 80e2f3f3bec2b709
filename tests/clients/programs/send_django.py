"""One mail through Django's own backend, which trusts what SSL_CERT_FILE names: the argument is JSON."""

import json
import sys

from django.conf import settings
from django.core.mail import EmailMessage

job = json.loads(sys.argv[1])
settings.configure(
    EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
    EMAIL_HOST="localhost",
    EMAIL_PORT=job["port"],
    EMAIL_USE_TLS=job["encryption"] == "starttls",
    EMAIL_USE_SSL=job["encryption"] == "tls",
    EMAIL_HOST_USER=job["login"] if job["mechanism"] else "",
    EMAIL_HOST_PASSWORD=job["password"] if job["mechanism"] else "",
    EMAIL_TIMEOUT=60,
)
assert EmailMessage(job["subject"], job["text"], job["from"], job["to"]).send() == 1
