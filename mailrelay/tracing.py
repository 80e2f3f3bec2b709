"""Ids on every log line, and spans from the SMTP session through the task to the request to Graph.

A trace's id is the queue id of its message: both are 128 bits (https://www.w3.org/TR/trace-context/#trace-id).
So nothing about traces has to be stored, and the id of a mail leads to its trace. Spans are made where
OTEL_EXPORTER_OTLP_ENDPOINT is set and requirements/tracing.txt is installed; log lines carry the ids always.
OpenTelemetry's own OTEL_ variables say the rest.
"""

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from uuid import UUID

import structlog

log = logging.getLogger(__name__)

#: Set while the root span of a message begins: its trace id and its own.
_own_ids: ContextVar[tuple[int, int] | None] = ContextVar("own_ids", default=None)


@contextmanager
def about(**ids: str) -> Iterator[None]:
    """Put `ids` (message_id, task_id, sender, client) on each log line within."""
    with structlog.contextvars.bound_contextvars(**ids):
        yield


@contextmanager
def span(name: str, message: UUID, **attributes: str | int) -> Iterator[None]:
    """Time what happens within as a part of the message's trace; does nothing where traces are off."""
    if _tracer() is None:
        yield
        return
    with _tracer().start_as_current_span(name, context=_under_root(message), attributes=attributes):
        yield


def accepted(message: UUID, seconds: float, **attributes: str | int) -> None:
    """Record the root span of a message: the hand-over of the SMTP session, which has just ended."""
    tracer = _tracer()
    if tracer is None:
        return
    from opentelemetry.context import Context

    now = time.time_ns()
    token = _own_ids.set((message.int, _root_of(message)))
    try:
        root = tracer.start_span(
            "smtp", context=Context(), start_time=now - int(seconds * 1e9), attributes=attributes
        )
    finally:
        _own_ids.reset(token)
    root.end(now)


def headers() -> dict[str, str]:
    """Return the `traceparent` of the span that is under way, for a request to another service."""
    found: dict[str, str] = {}
    if _tracer() is not None:
        from opentelemetry.propagate import inject

        inject(found)
    return found


def _root_of(message: UUID) -> int:
    """Name the root span: another process has to know it without asking. Never 0, which means none."""
    return int.from_bytes(hashlib.sha256(message.bytes).digest()[:8]) | 1


def _under_root(message: UUID) -> Any:
    from opentelemetry import trace

    current = trace.get_current_span().get_span_context()
    if current.trace_id == message.int:
        return None  # under the span that is under way
    root = trace.SpanContext(message.int, _root_of(message), is_remote=True, trace_flags=trace.TraceFlags(1))
    return trace.set_span_in_context(trace.NonRecordingSpan(root))


@lru_cache(maxsize=1)
def _tracer() -> Any:
    """Set OpenTelemetry up once a process; None where it is not asked for, or not installed."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    except ImportError:
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but requirements/tracing.txt is not installed")
        return None

    class Ids(RandomIdGenerator):  # type: ignore[misc]
        """Random ids, but for the root spans of messages."""

        def generate_trace_id(self) -> int:
            own = _own_ids.get()
            return own[0] if own else int(super().generate_trace_id())

        def generate_span_id(self) -> int:
            own = _own_ids.get()
            return own[1] if own else int(super().generate_span_id())

    os.environ.setdefault("OTEL_SERVICE_NAME", "graph-mail-gateway")
    provider = TracerProvider(resource=Resource.create(), id_generator=Ids())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("mailrelay")
