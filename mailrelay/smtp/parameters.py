"""The parameters of MAIL and RCPT: which are known, and what is wrong with one."""

from mailrelay.smtp import dsn
from mailrelay.smtp.replies import Reply

#: Taken on MAIL besides: DSN (RFC 3461), and AUTH (RFC 4954 section 5), which has no effect.
ALSO_MAIL = frozenset({"AUTH", "RET", "ENVID"})
#: Likewise on RCPT.
ALSO_RCPT = frozenset({"NOTIFY", "ORCPT"})


def wrong_for_mail(parameters: dict[str, str]) -> Reply | None:
    """What is wrong with the parameters of MAIL, if anything is."""
    for name, value in parameters.items():
        if name == "SIZE":
            if not (value.isascii() and value.isdigit() and len(value) <= 20):
                return Reply("501 5.5.4 SIZE is a number of bytes", "parameter")
        elif name == "BODY":
            if value.upper() not in {"7BIT", "8BITMIME"}:
                return Reply("501 5.5.4 BODY is 7BIT or 8BITMIME", "parameter")
        elif name == "SMTPUTF8":
            if value:
                return Reply("501 5.5.4 SMTPUTF8 has no value", "parameter")
        elif name not in ALSO_MAIL:
            return Reply(f"555 5.5.4 MAIL parameter {name} is not known", "parameter")
    return dsn.wrong_for_mail(parameters)


def wrong_for_rcpt(parameters: dict[str, str]) -> Reply | None:
    """What is wrong with the parameters of RCPT, if anything is."""
    for name in parameters.keys() - ALSO_RCPT:
        return Reply(f"555 5.5.4 RCPT parameter {name} is not known", "parameter")
    return dsn.wrong_for_rcpt(parameters)
