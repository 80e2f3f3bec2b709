"""The tables; `mailrelay.outbox` is the only writer of states."""

from mailrelay.models.alerts import Alert, AlertChannel, AlertTold, Lease
from mailrelay.models.attempts import SendLog, TimelineEntry
from mailrelay.models.clients import ClientDefaults, Refusal, SmtpClient
from mailrelay.models.counters import Counter, HourlyTotal, Worker, WorkingTime
from mailrelay.models.inboxes import Inbox, NonDelivery
from mailrelay.models.messages import ContentChunk, Delivery, Message, Recipient
from mailrelay.models.people import AuditEvent, EntraAccount, LoginBucket, SecondFactor
from mailrelay.models.senders import AppRegistration, Mailbox, SenderConfig
from mailrelay.models.tokens import ApiToken, SubmissionKey

__all__ = [
    "Alert",
    "AlertChannel",
    "AlertTold",
    "ApiToken",
    "AppRegistration",
    "AuditEvent",
    "ClientDefaults",
    "ContentChunk",
    "Counter",
    "Delivery",
    "EntraAccount",
    "HourlyTotal",
    "Inbox",
    "Lease",
    "LoginBucket",
    "Mailbox",
    "Message",
    "NonDelivery",
    "Recipient",
    "Refusal",
    "SecondFactor",
    "SendLog",
    "SenderConfig",
    "SmtpClient",
    "SubmissionKey",
    "TimelineEntry",
    "Worker",
    "WorkingTime",
]
