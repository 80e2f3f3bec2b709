"""Options of the listener; nothing here is read from the environment."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SmtpOptions:
    """Limits and names of one listener process: sizes in bytes, times in seconds."""

    #: In the greeting, in Received and in the Message-ID that a mail without one gets.
    hostname: str
    max_message_size: int = 36_700_160
    max_recipients: int = 1000
    #: Holds `spool/` for mail that is too large for memory; the system's temporary directory if None.
    data_dir: Path | None = None
    #: Room that must stay free for anything to be taken, at most a tenth of the file system.
    min_free_bytes: int = 64 * 1024 * 1024
    max_connections: int = 1000
    max_connections_per_client: int = 50
    #: Bytes of all messages in transfer; one message is taken whatever its size.
    max_bytes_in_transfer: int = 268_435_456
    #: PEM files of the certificate with its chain and of its key; no TLS if None.
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    #: How often they are looked at for a change.
    tls_reload_seconds: float = 10.0
    #: For a TLS handshake, and for the header of a proxy.
    tls_seconds: float = 30.0
    proxy_seconds: float = 10.0
    #: In our Received field, the same in all processes of an installation: who sees it again is in a loop.
    loop_token: str = ""
    #: Negative replies in one session before it is closed (Postfix: smtpd_hard_error_limit).
    max_errors: int = 20
    #: Commands in one session without a mail that bring none nearer (Postfix: smtpd_junk_command_limit).
    max_idling: int = 100
    #: For one command to arrive (RFC 5321 section 4.5.3.2.7 asks for five minutes).
    command_seconds: float = 300.0
    #: The same, and the negative replies, while connections are many (Postfix's STRESS_README).
    stress_seconds: float = 10.0
    stress_errors: int = 3
    #: Without any byte within DATA.
    data_idle_seconds: float = 180.0
    #: DATA may take this long, and longer only at `data_bytes_per_second` or more.
    data_seconds: float = 300.0
    data_bytes_per_second: int = 500
    #: Silence after which a DATA that stopped at a lone dot between wrong line ends is refused.
    bare_lf_seconds: float = 10.0
    #: Silence after which a lone dot before CR CR LF is the end of DATA.
    settle_seconds: float = 1.0
    #: Before the reply to a failed login; doubled with each in one session.
    login_delay_seconds: float = 1.0
    #: Failed logins in one session before it is closed.
    max_login_failures: int = 3
    #: For the commit; below 10 s, within which the client is promised a reply.
    accept_seconds: float = 9.0
    #: For the client to say QUIT after its message, once the listener is draining.
    farewell_seconds: float = 2.0
