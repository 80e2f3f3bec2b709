"""The meanings of Graph's error codes, a row each.

The classes are those of Microsoft's error pages and of reports of what Exchange really answers; a code that
is not here is transient, since a mail that waits can still be sent and one that bounced cannot.
"""

from dataclasses import dataclass

from mailrelay.vocabulary import Blame, Outcome, Reason

_HOURS = 3_600.0  # where Microsoft says "hours" and gives no Retry-After; seconds


@dataclass(frozen=True, slots=True)
class Row:
    """One meaning. `{mailbox}` and `{message}` are filled in; `wait` is used where Graph names no time."""

    outcome: Outcome
    blame: Blame
    reason: Reason
    sentence: str
    advice: str = ""
    status: str = "4.0.0"
    wait: float | None = None
    permanent_after: int | None = None
    retry_token: bool = False
    #: With a 5xx after the whole body, mail was sent all the same: public reports, and no document denies it.
    doubtful: bool = False


def _permanent(sentence: str, advice: str, status: str, reason: Reason = Reason.REJECTED) -> Row:
    return Row(Outcome.PERMANENT, Blame.MESSAGE, reason, sentence, advice, status)


def _configuration(blame: Blame, reason: Reason, sentence: str, advice: str) -> Row:
    return Row(Outcome.CONFIGURATION, blame, reason, sentence, advice, "4.7.0")


def _mailbox_waits(
    reason: Reason, sentence: str, advice: str = "", wait: float | None = None, *, doubtful: bool = False
) -> Row:
    return Row(Outcome.TRANSIENT, Blame.MAILBOX, reason, sentence, advice, "4.3.2", wait, doubtful=doubtful)


MIME = _permanent(
    "Graph could not read the message as MIME.",
    "The application that wrote the message must send valid MIME.",
    "5.6.0",
)
OUR_REQUEST = _permanent(
    "Graph did not understand the gateway's request.",
    "This is a fault of the gateway; report it with the request-id.",
    "5.6.0",
)
CONVERSION = Row(
    Outcome.TRANSIENT,
    Blame.MESSAGE,
    Reason.SERVER_ERROR,
    "Exchange could not convert the message.",
    "If it fails again, the application that wrote the message must send simpler MIME.",
    "5.6.0",
    permanent_after=3,
)
RECIPIENTS = _permanent(
    "Graph refused a recipient address.", "Correct the address and send the message again.", "5.1.3"
)
DUPLICATE = Row(
    Outcome.TRANSIENT,
    Blame.MESSAGE,
    Reason.REJECTED,
    "Exchange has a mail with this Message-ID already, and takes no second one.",
    "",
    "4.3.0",
)
NO_RECIPIENTS = _permanent(
    "Graph found no recipient in the message.", "Correct the addresses and send the message again.", "5.1.3"
)
TOO_BIG = _permanent(
    "The message is larger than the mailbox {mailbox} or the tenant allows.",
    "Send less, or have an administrator raise the mailbox's maximum send size.",
    "5.3.4",
    Reason.TOO_LARGE,
)
CEILING = Row(
    Outcome.TOO_LARGE,
    Blame.MESSAGE,
    Reason.TOO_LARGE,
    "The message is larger than Graph takes in one request.",
    "It goes by the large-mail route if the sender may use it.",
    "5.3.4",
)
TOKEN = Row(
    Outcome.TRANSIENT,
    Blame.CREDENTIAL,
    Reason.CREDENTIAL_REFUSED,
    "Graph did not accept the access token for the mailbox {mailbox}.",
    "A new token is fetched and the message is sent again.",
    "4.7.0",
    retry_token=True,
)
TOKEN_TWICE = _configuration(
    Blame.CREDENTIAL,
    Reason.CREDENTIAL_REFUSED,
    "Graph did not accept a fresh access token for the mailbox {mailbox} either.",
    "Check the app registration, and that authority host and Graph endpoint are of one cloud.",
)
POLICY = _configuration(
    Blame.CREDENTIAL,
    Reason.CREDENTIAL_REFUSED,
    "A Conditional Access policy of the tenant does not let the application in from where the gateway is.",
    "Add the network address from which the gateway reaches Microsoft to the policy's named locations, or "
    "leave the application out of the policy.",
)
NO_PERMISSIONS = _configuration(
    Blame.CREDENTIAL,
    Reason.CONSENT_MISSING,
    "The access token carries no permission that Graph understands.",
    "Give admin consent for the application permission Mail.Send.",
)
DENIED = _configuration(
    Blame.MAILBOX,
    Reason.CONSENT_MISSING,
    "The app registration may not send as the mailbox {mailbox}.",
    "Give admin consent for Mail.Send, or take the mailbox into the app's scope in Exchange. "
    "A change there takes up to two hours; the gateway keeps trying.",
)
FORBIDDEN = _configuration(
    Blame.MAILBOX,
    Reason.MAILBOX_BLOCKED,
    "Microsoft does not let the gateway send as the mailbox {mailbox}, with an error that it does not know.",
    "Look the code up at Microsoft; check the mailbox in Exchange, and the consent for Mail.Send. "
    "The gateway keeps trying.",
)
SEND_AS = _permanent(
    "The mailbox {mailbox} may not send with the From address of this message.",
    "Use the mailbox in From, grant Send As in Exchange, or set the From policy to rewrite.",
    "5.7.60",
)
BLOCKED = _configuration(
    Blame.MAILBOX,
    Reason.MAILBOX_BLOCKED,
    "The account of the mailbox {mailbox} is blocked.",
    "An administrator must unblock the account or choose another mailbox for this sender.",
)
SENDING_BLOCKED = _configuration(
    Blame.MAILBOX,
    Reason.MAILBOX_BLOCKED,
    "Microsoft has blocked the mailbox {mailbox} from sending.",
    "An administrator finds the cause and unblocks it under Restricted entities in Microsoft Defender; or "
    "choose another mailbox for this sender.",
)
UNKNOWN = _configuration(
    Blame.MAILBOX,
    Reason.MAILBOX_UNKNOWN,
    "There is no mailbox {mailbox} in this tenant.",
    "Correct the sender's mailbox; where its address is an alias, enter its user principal name or object id "
    "beside the address (SENDER_MAILBOX).",
)
MISSING = _configuration(
    Blame.MAILBOX,
    Reason.MAILBOX_UNKNOWN,
    "Graph found nothing for the mailbox {mailbox}, and did not say what is missing.",
    "Check the mailbox's user principal name or object id, the tenant, and GRAPH_ENDPOINT.",
)
NO_EXCHANGE = _configuration(
    Blame.MAILBOX,
    Reason.MAILBOX_UNLICENSED,
    "The tenant of {mailbox} has no Exchange Online.",
    "Check that the app registration is in the tenant that has the mailboxes (AZURE_TENANT_ID), and that it "
    "has an Exchange Online licence.",
)
UNLICENSED = _configuration(
    Blame.MAILBOX,
    Reason.MAILBOX_UNLICENSED,
    "The mailbox {mailbox} has no licence, is deleted, or is hosted on premises; Graph does not serve it.",
    "Assign an Exchange Online licence to it, or choose another mailbox for this sender.",
)
FULL = _configuration(
    Blame.MAILBOX,
    Reason.MAILBOX_FULL,
    "The mailbox {mailbox} is full.",
    "Empty its Sent Items (a retention policy does that for good), or raise its quota.",
)
THROTTLED = _mailbox_waits(
    Reason.THROTTLED, "Microsoft asks to send more slowly through the mailbox {mailbox}.", doubtful=True
)
DAILY = _mailbox_waits(
    Reason.THROTTLED,
    "The mailbox {mailbox} has used up its sending limit.",
    "Look into its Inbox for a notice by Microsoft; the gateway tries again in an hour.",
    _HOURS,
)
BUSY = _mailbox_waits(
    Reason.SERVER_ERROR, "Exchange cannot serve the mailbox {mailbox} at the moment.", doubtful=True
)
FAULT = Row(
    Outcome.TRANSIENT,
    Blame.MESSAGE,
    Reason.SERVER_ERROR,
    "Exchange had an internal error.",
    "",
    "4.3.0",
    doubtful=True,
)
UNKNOWN_CODE = Row(
    Outcome.TRANSIENT,
    Blame.MESSAGE,
    Reason.SERVER_ERROR,
    "Graph refused the message for the mailbox {mailbox} with an error that the gateway does not know.",
    "It is tried again; if it stays, look the code up at Microsoft or report it.",
    "4.3.0",
    doubtful=True,
)
VIRUS = _permanent("Exchange found a virus in the message.", "Clean the sending system.", "5.7.1")
NOT_FOUND = Row(
    Outcome.TRANSIENT,
    Blame.MESSAGE,
    Reason.SERVER_ERROR,
    "Exchange did not find something in the mailbox {mailbox} that it needs to send; nothing was sent.",
    "It is tried again; if it stays, see whether the mailbox has its folders Drafts and Sent Items.",
    "4.3.0",
)
GONE_DRAFT = Row(
    Outcome.UNCERTAIN,
    Blame.MESSAGE,
    Reason.UNCERTAIN,
    "The draft is gone from the mailbox {mailbox}: it was sent or deleted.",
    "Look into the mailbox's Sent Items.",
)
TIMED_OUT = Row(
    Outcome.UNCERTAIN,
    Blame.MAILBOX,
    Reason.UNCERTAIN,
    "Exchange ran out of time with the message; it may have been sent.",
    "Look into the Sent Items of the mailbox {mailbox}.",
)
PROXY = Row(
    Outcome.TRANSIENT,
    Blame.ENDPOINT,
    Reason.UNREACHABLE,
    "Something between the gateway and Graph answered in Graph's place.",
    "Check HTTPS_PROXY, NO_PROXY, firewalls and GRAPH_ENDPOINT.",
    "4.4.1",
)

CODES: dict[str, Row] = {
    "ErrorMimeContentInvalidBase64String": OUR_REQUEST,
    "ErrorMimeContentInvalid": MIME,
    "ErrorMimeContentConversionFailed": CONVERSION,
    "ErrorContentConversionFailed": CONVERSION,
    "ErrorInvalidRecipients": RECIPIENTS,
    "ErrorMissingRecipients": NO_RECIPIENTS,
    "ErrorInvalidSmtpAddress": RECIPIENTS,
    "ErrorMessageSizeExceeded": TOO_BIG,
    "ErrorAttachmentSizeLimitExceeded": TOO_BIG,
    "ErrorRequestStreamTooBig": TOO_BIG,
    "RequestEntityTooLarge": CEILING,
    "ErrorInvalidParameter": OUR_REQUEST,
    "InvalidInternetMessageHeader": OUR_REQUEST,
    "RequestBodyRead": OUR_REQUEST,
    "InvalidAuthenticationToken": TOKEN,
    "NoPermissionsInAccessToken": NO_PERMISSIONS,
    "ErrorAccessDenied": DENIED,
    "Authorization_RequestDenied": DENIED,
    "AccessDenied": DENIED,
    "Forbidden": DENIED,
    "ErrorSendAsDenied": SEND_AS,
    "ErrorAccountDisabled": BLOCKED,
    "ErrorMailboxLogonFailed": BLOCKED,
    "ErrorPasswordExpired": BLOCKED,
    "ErrorMessageSubmissionBlocked": SENDING_BLOCKED,
    "ErrorAccountSuspend": SENDING_BLOCKED,
    "ErrorInvalidUser": UNKNOWN,
    "ResourceNotFound": UNKNOWN,
    "Request_ResourceNotFound": UNKNOWN,
    "MailboxNotEnabledForRESTAPI": UNLICENSED,
    "MailboxNotSupportedForRESTAPI": UNLICENSED,
    "OrganizationFromTenantGuidNotFound": NO_EXCHANGE,
    "ErrorItemNotFound": NOT_FOUND,
    "ErrorIrresolvableConflict": FAULT,
    "TooManyRequests": THROTTLED,
    "ApplicationThrottled": THROTTLED,
    "MailboxConcurrency": THROTTLED,
    "CommandConcurrencyLimitReached": THROTTLED,
    "ErrorExceededMessageLimit": DAILY,
    "ErrorSubmissionQuotaExceeded": DAILY,
    "ErrorQuotaExceeded": FULL,
    "ErrorTimeoutExpired": TIMED_OUT,
    "ErrorInternalServerError": FAULT,
    "ErrorInternalServerTransientError": FAULT,
    "ErrorMailboxStoreUnavailable": BUSY,
    "ErrorMailboxMoveInProgress": BUSY,
    "ErrorMailboxFailover": BUSY,
    "ErrorADUnavailable": BUSY,
    "ErrorInsufficientResources": BUSY,
    "ErrorConnectionFailed": BUSY,
    "ErrorServerTemporaryUnavailable": BUSY,
    "ErrorVirusDetected": VIRUS,
    "ErrorServerBusy": BUSY,
    "serviceNotAvailable": BUSY,
}
BY_LOWER = {code.lower(): row for code, row in CODES.items()}
#: Codes that have been seen with several endings, as in ErrorAccountSuspendShowTierUpgrade.
BEGINNINGS = {"erroraccountsuspend": SENDING_BLOCKED}

#: For answers without a known code. 400, 409 and 5xx with an unknown code are `UNKNOWN_CODE`.
STATUSES: dict[int, Row] = {
    401: TOKEN,
    403: FORBIDDEN,
    404: MISSING,
    413: CEILING,
    429: THROTTLED,
    503: BUSY,
    507: FULL,
    509: THROTTLED,
}
