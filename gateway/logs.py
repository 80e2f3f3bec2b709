"""Logging through structlog: lines for people on a terminal, JSON in a cluster, always on stderr."""

import logging
import logging.config
from typing import Any

import structlog

SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(config: dict[str, str]) -> None:
    """Set up the standard library's loggers; `config` has `level` and `format` (text or json)."""
    # No line shows its thread or caller: finding them takes a fifth of what a line costs
    # (https://docs.python.org/3/howto/logging.html#optimization). gunicorn's own lines show the process.
    logging.logThreads = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - as documented there
    json = config["format"] == "json"
    # Not the tracebacks of `rich`, where that is installed: they show local variables, secrets among them.
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    renderer = structlog.processors.JSONRenderer() if json else plain
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "main": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": SHARED,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *([structlog.processors.format_exc_info] if json else []),
                        renderer,
                    ],
                },
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "main"}},
            "root": {"handlers": ["stderr"], "level": config["level"]},
            "loggers": {
                # aiosmtpd logs every command at INFO and every line of mail at DEBUG.
                "mail.log": {"level": "WARNING"},
                "mail.debug": {"level": "ERROR"},
                # Both log addresses of requests and their headers below WARNING.
                "urllib3": {"level": "WARNING"},
                "msal": {"level": "WARNING"},
                "kombu": {"level": "WARNING"},
                "kombu.connection": {"level": "ERROR"},  # warns that memory:// has no host name
                "amqp": {"level": "WARNING"},
                "celery": {"level": "WARNING"},
                # A probe a few seconds is not news.
                "waitress": {"level": "WARNING"},
            },
        }
    )
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
