"""Django's settings, all from the environment; `docs/settings.md` is made from the declarations below."""

import socket
import warnings
from typing import Any

from gateway import early, keys, listeners, texts
from gateway.env import Environment
from gateway.fixed import *  # noqa: F403 - Django reads its settings from this module
from mailrelay import parsing
from mailrelay.clouds import ENDPOINTS
from mailrelay.parsing import Network, networks
from mailrelay.vocabulary import BouncePolicy, Cloud

BASE_DIR = early.BASE_DIR
ENV = Environment()

# --- Who sends: the mission's four variables, and their neighbours ------------------------------------

ENV.section("The sender from the environment")
AZURE_TENANT_ID = ENV.optional(
    "AZURE_TENANT_ID", parsing.tenant, help="Directory (tenant) id of the Entra ID application"
)
AZURE_CLIENT_ID = ENV.optional("AZURE_CLIENT_ID", parsing.client_id, help="Application (client) id")
AZURE_CLIENT_SECRET = ENV.client_secret("AZURE_CLIENT_SECRET", help="Client secret of the application")
SENDER_EMAIL = ENV.optional(
    "SENDER_EMAIL",
    parsing.mailbox_address,
    kind="address",
    help="Mailbox that the mail is sent from: /users/{SENDER_EMAIL}/sendMail",
)
SENDER_MAILBOX = ENV.optional(
    "SENDER_MAILBOX",
    parsing.mailbox_key,
    help="User principal name or object id of that mailbox, where Graph does not know it by its address",
)
AZURE_CLIENT_CERTIFICATE_PATH = ENV.text(
    "AZURE_CLIENT_CERTIFICATE_PATH", help="PEM or PFX file with key and certificate; wins over a secret"
)
AZURE_CLIENT_CERTIFICATE_PASSWORD = ENV.secret(
    "AZURE_CLIENT_CERTIFICATE_PASSWORD", help="Password of that file"
)
AZURE_FEDERATED_TOKEN_FILE = ENV.text(
    "AZURE_FEDERATED_TOKEN_FILE", help="Workload identity's token file; wins over a secret"
)
AZURE_USE_MANAGED_IDENTITY = ENV.flag(
    "AZURE_USE_MANAGED_IDENTITY",
    False,
    help="Ask Azure's instance metadata for tokens when nothing else is set",
)
AZURE_CLIENT_NEXT_SECRET = ENV.client_secret(
    "AZURE_CLIENT_NEXT_SECRET",
    help="A newer client secret, tried before AZURE_CLIENT_SECRET: both may be set while one replaces the "
    "other",
)
AZURE_CLIENT_SECRET_EXPIRES = ENV.day(
    "AZURE_CLIENT_SECRET_EXPIRES",
    help="The day on which the client secret ends, as 2027-03-31; warned of in time",
)
AZURE_CLOUD = ENV.choice(
    "AZURE_CLOUD",
    "global",
    tuple(cloud.value for cloud in ENDPOINTS),
    help="Which of Microsoft's clouds the tenant is in; sets the defaults of the next two",
)
AZURE_AUTHORITY_HOST = ENV.parsed(
    "AZURE_AUTHORITY_HOST",
    ENDPOINTS[Cloud(AZURE_CLOUD)].authority_host,
    parsing.https_origin,
    kind="URL",
    help="Where tokens come from (national clouds)",
    fallback="https://login.microsoftonline.com",
)
GRAPH_ENDPOINT = ENV.parsed(
    "GRAPH_ENDPOINT",
    ENDPOINTS[Cloud(AZURE_CLOUD)].graph_endpoint,
    parsing.https_origin,
    kind="URL",
    help="Where mail goes to (national clouds)",
    fallback="https://graph.microsoft.com",
)
SENDER_FROM_POLICY = ENV.choice(
    "SENDER_FROM_POLICY",
    "rewrite",
    ("rewrite", "require", "send_as", "own_mailbox"),
    help="What happens when From is not SENDER_EMAIL: rewrite it (the original goes to Reply-To), refuse "
    "with 550 5.7.60, leave it for Graph to decide, or send through the mailbox that it names",
)
SENDER_CONCURRENCY = ENV.integer(
    "SENDER_CONCURRENCY", 4, help="Requests in flight for the mailbox; 0 is no limit", at_most=2**31 - 1
)
SENDER_MESSAGES_PER_MINUTE = ENV.integer(
    "SENDER_MESSAGES_PER_MINUTE",
    30,
    help="Messages a minute through the mailbox, as a bucket; 0 is no limit",
    at_most=2**31 - 1,
)
SENDER_UNCERTAIN_POLICY = ENV.choice(
    "SENDER_UNCERTAIN_POLICY",
    "resend",
    ("resend", "hold", "fail"),
    help="What happens to mail that Graph may or may not have sent: resend once after UNCERTAIN_DELAY and "
    "then hold, hold at once, or fail",
)
SENDER_LARGE_MAIL = ENV.choice(
    "SENDER_LARGE_MAIL",
    "auto",
    ("auto", "on", "off"),
    help="Mail beyond one request to Graph (3 MB): sent as a draft with uploads when the application may "
    "write drafts (auto: it has Mail.ReadWrite), always (on), or refused in the SMTP session (off)",
)
SENDER_INVITATIONS = ENV.choice(
    "SENDER_INVITATIONS",
    "file",
    ("file", "refuse", "leave"),
    help="An invitation whose calendar names others than the recipients: a file, refused, or left to Graph",
)
SENDER_LARGE_TEXT = ENV.choice(
    "SENDER_LARGE_TEXT",
    "file",
    ("file", "refuse"),
    help="A text beyond one request to Graph: sent as a file with a short text in front, or refused",
)
SENDER_OWN_MESSAGE_IDS = ENV.flag(
    "SENDER_OWN_MESSAGE_IDS",
    False,
    help="Of mail that shares a Message-ID (parts of a split, transactions of one mail), each but the first "
    "gets one of its own: for a tenant whose Exchange takes the others for duplicates",
)
SENDER_REDIRECT_ALL_TO = ENV.optional(
    "SENDER_REDIRECT_ALL_TO",
    parsing.address,
    kind="address",
    help="For staging: every mail goes to this address instead of its recipients",
)

# --- Where things are ----------------------------------------------------------------------------------

ENV.section("Database, broker and files")
FILES = early.files(ENV)
DATA_DIR, DATABASE, DATA_DIR_LOCK_WAIT = FILES.data_dir, FILES.database, FILES.lock_wait
CELERY_BROKER_URL = ENV.parsed(
    "CELERY_BROKER_URL",
    "memory://",
    texts.broker_url,
    kind="URL",
    help="amqp://… (RabbitMQ) or redis://…; memory:// serves the one process of rungateway alone",
    fallback="memory://",
    secret=True,
)
EMBEDDED = FILES.embedded

# --- The SMTP listeners --------------------------------------------------------------------------------

ENV.section("SMTP")
SMTP_LISTENERS: tuple[listeners.Listener, ...] = ENV.parsed(
    "SMTP_LISTENERS",
    "smtp://127.0.0.1:2525",
    listeners.listeners,
    kind="URLs",
    help="Comma-separated addresses to listen on, smtp:// or smtps:// (implicit TLS), the policy of each in "
    "its query: starttls=off/optional/required, auth=optional/off/required, cleartext_auth=on, tls=legacy, "
    "barelf=normalize/reject/accept, proxy=10.0.0.5/32 (who must send a PROXY header)",
    fallback=(listeners.Listener("127.0.0.1", 2525),),
)
SMTP_ALLOWED_NETWORKS: tuple[Network, ...] = ENV.parsed(
    "SMTP_ALLOWED_NETWORKS",
    "loopback",
    networks,
    kind="networks",
    help="Who may send: comma-separated CIDRs; the word `private` is 10/8, 172.16/12, 192.168/16, 100.64/10 "
    "and fc00::/7, the word `loopback` this machine",
    fallback=networks("loopback"),
)
SMTP_MAX_MESSAGE_SIZE = ENV.integer(
    "SMTP_MAX_MESSAGE_SIZE", 36_700_160, help="Largest message that DATA takes, in bytes", at_least=1024
)
SMTP_MAX_RECIPIENTS = ENV.integer(
    "SMTP_MAX_RECIPIENTS", 1000, help="Recipients a transaction may name; more get 452 4.5.3", at_least=1
)
SMTP_DEFAULT_DOMAIN = ENV.optional(
    "SMTP_DEFAULT_DOMAIN",
    parsing.domain,
    help="Domain of recipients that are written without one: with example.org, mail for root goes to "
    "root@example.org; a client's own wins",
)
SMTP_ALIASES: dict[str, list[str]] = ENV.parsed(
    "SMTP_ALIASES",
    "",
    parsing.aliases,
    kind="text",
    help="Whom recipients stand for, as /etc/aliases has it: root: admin@example.org, backup: a@example.org "
    "b@example.org; a name without a domain is also that name at the default domain; a client's own win",
    fallback={},
)
SMTP_REPEAT_MINUTES = ENV.integer(
    "SMTP_REPEAT_MINUTES",
    20,
    help="Minutes in which the same mail from the same client (Message-ID, envelope and content) is taken "
    "for a repetition whose 250 was lost: answered 250 with the first queue id and sent once; 0 never",
    at_most=32_767,
)
SMTP_TLS_CERT_FILE = ENV.text(
    "SMTP_TLS_CERT_FILE", help="PEM file of the listener's certificate with its chain; read again on change"
)
SMTP_TLS_KEY_FILE = ENV.text(
    "SMTP_TLS_KEY_FILE", help="PEM file of its private key", shown="the file of the certificate"
)
SMTP_MAX_CONNECTIONS = ENV.integer(
    "SMTP_MAX_CONNECTIONS", 1000, help="Connections at a time; more are told 421 4.7.0", at_least=1
)
SMTP_MAX_CONNECTIONS_PER_CLIENT = ENV.integer(
    "SMTP_MAX_CONNECTIONS_PER_CLIENT",
    50,
    help="The same from one address, or /64 of IPv6 that nobody listed; an SMTP client's own wins",
)
SMTP_MAX_BYTES_IN_TRANSFER = ENV.integer(
    "SMTP_MAX_BYTES_IN_TRANSFER",
    268_435_456,
    help="Bytes of all messages that are being received at a time, of one client three quarters; more are "
    "told 452 4.3.1 and come again",
)
SMTP_IDLE_SECONDS = ENV.integer(
    "SMTP_IDLE_SECONDS", 300, help="How long a session may take for a command; 10 under stress", at_least=1
)
SMTP_HOSTNAME = ENV.optional(
    "SMTP_HOSTNAME",
    texts.host_name,
    kind="host name",
    help="Name in the greeting and in Received",
    shown="this host's full name",
)
SMTP_HOSTNAME = SMTP_HOSTNAME or socket.getfqdn()
SMTP_DRAIN_SECONDS = ENV.integer(
    "SMTP_DRAIN_SECONDS", 25, help="How long mail in transfer may take to finish after SIGTERM, in seconds"
)

# --- Delivery ------------------------------------------------------------------------------------------

ENV.section("Delivery")
DELIVERY_RETRY_MIN = ENV.integer(
    "DELIVERY_RETRY_MIN", 15, help="First wait before a message is tried again, in seconds", at_least=1
)
DELIVERY_RETRY_MAX = ENV.integer(
    "DELIVERY_RETRY_MAX", 3600, help="Longest wait between two tries, in seconds", at_least=1
)
DELIVERY_MAX_AGE = ENV.integer(
    "DELIVERY_MAX_AGE", 432_000, help="Age at which mail fails, in seconds with a worker", at_least=60
)
UNCERTAIN_DELAY = ENV.integer(
    "UNCERTAIN_DELAY", 600, help="Wait before mail that Graph may have sent is sent again, in seconds"
)
PROBE_SECONDS = ENV.integer(
    "PROBE_SECONDS",
    30,
    help="Wait between two tries of a mailbox or credential whose configuration is broken, in seconds",
    at_least=1,
)
LEASE_SECONDS = ENV.integer(
    "LEASE_SECONDS", 60, help="Time after which a silent worker counts as dead, in seconds", at_least=3
)
GRAPH_TIMEOUT = ENV.integer(
    "GRAPH_TIMEOUT", 300, help="Total deadline of one sendMail request, in seconds", at_least=1
)
DELIVERY_THREADS = ENV.integer(
    "DELIVERY_THREADS", 8, help="Deliveries that one worker process runs at once", at_least=1
)

# --- Bounces -------------------------------------------------------------------------------------------

ENV.section("Bounces")
BOUNCE_POLICY = ENV.choice(
    "BOUNCE_POLICY",
    "sender",
    tuple(policy.value for policy in BouncePolicy if policy),
    help="Who is told about mail that cannot be delivered: its sender where that is one of ours (else the "
    "operations address), the operations address, the webhook, or nobody",
)
OPERATIONS_ADDRESS = ENV.optional(
    "OPERATIONS_ADDRESS",
    parsing.address,
    kind="address",
    help="Address for notices about mail whose sender is not one of ours",
    shown="the mailbox that the mail was to leave through",
)
NOTICE_WEBHOOK_URL = ENV.secret(
    "NOTICE_WEBHOOK_URL", help="Where notices are posted as JSON when the policy is `webhook`"
)
DELAY_WARNING_SECONDS = ENV.integer(
    "DELAY_WARNING_SECONDS",
    14_400,
    help="Age at which the same people are warned that mail is still waiting, in seconds; 0 never",
)
BOUNCE_WATCH_SECONDS = ENV.integer(
    "BOUNCE_WATCH_SECONDS",
    0,
    help="Time between two looks for non-delivery reports in the Inbox of each sender, in seconds; needs "
    "Mail.Read or Mail.ReadWrite; 0 never",
)

# --- Alerts --------------------------------------------------------------------------------------------

ENV.section("Alerts")
ALERT_BACKLOG_SECONDS = ENV.integer(
    "ALERT_BACKLOG_SECONDS",
    900,
    help="Age of the oldest due mail at which people are told (whom, the admin says); 0 never",
)
ALERT_FAILURE_PERCENT = ENV.integer(
    "ALERT_FAILURE_PERCENT",
    20,
    help="Share of failed mail, of this hour's and the last one's, at which people are told, in percent; 0 "
    "never",
)
ALERT_WEBHOOK_NETWORKS: tuple[Network, ...] = ENV.parsed(
    "ALERT_WEBHOOK_NETWORKS",
    "",
    networks,
    kind="networks",
    help="Networks that a webhook of an alert may lead to besides public addresses, by http too",
    fallback=(),
)

# --- Retention -----------------------------------------------------------------------------------------

ENV.section("Retention")
RETENTION_SENT_HOURS = ENV.integer(
    "RETENTION_SENT_HOURS", 72, help="Hours for which the content of sent mail is kept; 0 removes it at once"
)
RETENTION_FAILED_DAYS = ENV.integer(
    "RETENTION_FAILED_DAYS", 30, help="Days for which the content of failed and cancelled mail is kept"
)
RETENTION_ROWS_DAYS = ENV.integer(
    "RETENTION_ROWS_DAYS", 90, help="Days for which the record of a finished message is kept"
)

# --- Web, health and logs ------------------------------------------------------------------------------

ENV.section("Web, health and logs")
HTTP_LISTEN: early.HttpAddress | None = early.http_listen(ENV)
SECRET_KEY = keys.own_key(
    ENV,
    "DJANGO_SECRET_KEY",
    ENV.secret("DJANGO_SECRET_KEY", help="Signs sessions", shown="made in `DATA_DIR` when embedded"),
    DATA_DIR,
    embedded=EMBEDDED,
)
FIELD_ENCRYPTION_KEYS = keys.own_key(
    ENV,
    "FIELD_ENCRYPTION_KEYS",
    ENV.secret(
        "FIELD_ENCRYPTION_KEYS",
        help="Comma-separated Fernet keys for secrets at rest, newest first; older ones still decrypt",
        shown="made in `DATA_DIR` when embedded",
    ),
    DATA_DIR,
    embedded=EMBEDDED,
).split(",")
ALLOWED_HOSTS = ENV.parsed(
    "ALLOWED_HOSTS",
    "localhost,127.0.0.1,[::1]",
    texts.words,
    kind="host names",
    help="Host names that the admin answers to, comma-separated",
    fallback=["localhost", "127.0.0.1", "[::1]"],
)
CSRF_TRUSTED_ORIGINS = ENV.parsed(
    "CSRF_TRUSTED_ORIGINS",
    "",
    texts.origins,
    kind="URLs",
    help="Origins such as https://mail.example.org when a proxy ends TLS",
    fallback=[],
)
WEB_HTTPS = ENV.flag(
    "WEB_HTTPS",
    not EMBEDDED,
    help="People reach the admin over https: cookies are marked Secure, and browsers are told to stay with "
    "https (HSTS); true with DATABASE_URL, false with the embedded default",
)
WEB_TRUSTED_PROXIES: tuple[Network, ...] = ENV.parsed(
    "WEB_TRUSTED_PROXIES",
    "",
    networks,
    kind="networks",
    help="Proxies whose X-Forwarded-For is believed: failed logins, audit list and clients by HTTP go by it",
    fallback=(),
)
WEB_TOKEN_FILE_DIRECTORIES: tuple[str, ...] = ENV.parsed(
    "WEB_TOKEN_FILE_DIRECTORIES",
    "/var/run/secrets/azure/tokens",
    texts.directories,
    kind="paths",
    help="Directories below which a federated token file that is entered in the admin may lie, beside "
    "AZURE_FEDERATED_TOKEN_FILE itself: what it holds is sent to the authority",
    fallback=(),
)
WEB_SESSION_HOURS = ENV.integer(
    "WEB_SESSION_HOURS", 12, help="Hours after which a person has to sign in again", at_least=1
)
WEB_OIDC_TENANT_ID = ENV.optional(
    "WEB_OIDC_TENANT_ID",
    parsing.tenant,
    help="Directory whose people sign in to the admin with Entra ID; their app roles are their groups",
)
WEB_OIDC_CLIENT_ID = ENV.optional(
    "WEB_OIDC_CLIENT_ID",
    parsing.client_id,
    help="Application (client) id of the app registration for sign-in: another than the one that sends mail",
)
WEB_OIDC_CLIENT_SECRET = ENV.client_secret(
    "WEB_OIDC_CLIENT_SECRET", help="Client secret of that app registration"
)
WEB_LOCAL_LOGIN = ENV.flag(
    "WEB_LOCAL_LOGIN",
    True,
    help="Accounts with a password may sign in; false leaves Entra ID as the only way",
)
LOG_LEVEL = ENV.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"), help="How much is logged")
LOG_FORMAT = ENV.choice("LOG_FORMAT", "text", ("text", "json"), help="Shape of the log lines on stderr")
DJANGO_SUPERUSER_USERNAME = ENV.text(
    "DJANGO_SUPERUSER_USERNAME", "admin", help="Name of the first administrator"
)
DJANGO_SUPERUSER_EMAIL = ENV.text("DJANGO_SUPERUSER_EMAIL", help="E-mail address of the first administrator")
DJANGO_SUPERUSER_PASSWORD = ENV.secret(
    "DJANGO_SUPERUSER_PASSWORD",
    help="Password of the first administrator",
    shown="a one-time password in `DATA_DIR/admin-password`",
)

# --- Django --------------------------------------------------------------------------------------------

STATIC_ROOT = BASE_DIR / "static-collected"
DATABASES: dict[str, dict[str, Any]] = {"default": DATABASE}
warnings.filterwarnings("ignore", message="No directory at")
SESSION_COOKIE_AGE = WEB_SESSION_HOURS * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = WEB_HTTPS
AUTHENTICATION_BACKENDS = [
    *(["mailrelay.console.throttle.ThrottledBackend"] if WEB_LOCAL_LOGIN else []),
    "mailrelay.console.entra_sign_in.EntraBackend",
]
LOGGING = {"level": LOG_LEVEL, "format": LOG_FORMAT}

# --- Celery --------------------------------------------------------------------------------------------

# What happens to tasks is told to Flower; nobody outside this process can listen at memory://.
CELERY_WORKER_SEND_TASK_EVENTS = CELERY_TASK_SEND_SENT_EVENT = not CELERY_BROKER_URL.startswith("memory:")
CELERY_WORKER_CONCURRENCY = DELIVERY_THREADS
