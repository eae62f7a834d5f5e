"""What is told of a message after its end: the metrics, and its one access line."""

import asyncio
import time
from itertools import pairwise

from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.events import MessageStarted
from gateway.relay.attempt import Attempt
from gateway.relay.core import Core
from gateway.server.asked import Asked
from gateway.server.gateway import Gateway


class _Timing(Struct):
    """Seconds since the request came in; None where it never came to that."""

    total: float
    first_event: float | None
    first_text: float | None


class Reporter:
    def __init__(self, gateway: Gateway, dialect: str) -> None:
        self._gateway = gateway
        self._dialect = dialect

    def report(self, core: Core, ask: Asked, owner: str, *, client_gone: bool) -> None:
        """`client_gone`: the client left before its last byte."""
        metrics, timing = self._gateway.metrics, _timing(core)
        for attempt in (*core.beside, *core.attempts):
            self._count_attempt(attempt)
        if core.beside:
            self._count_hedge(core)
        for failed, following in (*pairwise(core.beside), *pairwise(core.attempts)):
            self._tell_failover(failed, following, ask)
        reached = {attempt.target.vendor for attempt in (*core.beside, *core.attempts) if attempt.phase != "not_sent"}
        for told in ask.continuity.told:
            if told.vendor not in reached:
                continue  # it took nothing of what it was told
            missed = told.missed
            metrics.catch_up(vendor=told.vendor, characters=missed.size, turns_left_out=missed.left_out)
        for kind, count in core.answer.omitted.items():
            metrics.omitted(self._dialect, kind, count)
        ignored = ask.ignored(core.target)
        for option in ignored:
            metrics.ignored(core.target.protocol, option)
        for bug in core.bugs:
            metrics.unhandled_error()
            self._gateway.log.error("unhandled", request_id=ask.request_id, exc_info=bug)
        for vendor in ask.rebound:
            metrics.rebound(vendor)
        metrics.message(
            route=ask.route.name,
            vendor=core.target.vendor,
            outcome=core.outcome or "canceled",
            duration=timing.total,
            first_event=timing.first_event,
            first_text=timing.first_text,
            heartbeats=core.answer.heartbeats,
        )
        self._write_access_line(core, ask, owner, timing, ignored=ignored, client_gone=client_gone)

    def report_left(self, request_id: str, route: str, owner: str, message_id: str) -> None:
        """A client that went before anybody could be asked."""
        self._gateway.metrics.client_left(route=route, policy="cancel")
        self._gateway.log.info(
            "message",
            request_id=request_id,
            key=owner,
            dialect=self._dialect,
            route=route,
            message_id=message_id,
            outcome="canceled",
            cause="client_gone",
            client_gone=True,
            attempts=0,
        )

    def report_stored(self, request_id: str, started: MessageStarted, stored: "asyncio.Future[None]") -> None:
        """The client has its answer already, so a store that fails is for the log and the metrics."""
        error = None if stored.cancelled() else stored.exception()
        if not isinstance(error, GatewayError):
            return
        self._gateway.metrics.store_failure("end")
        self._gateway.log.error(
            "not stored",
            request_id=request_id,
            conversation_id=started.conversation_id,
            message_id=started.message_id,
            code=error.code,
            reason=str(error.__cause__ or error.message),
        )

    def _count_attempt(self, attempt: Attempt) -> None:
        metrics, target = self._gateway.metrics, attempt.target
        metrics.attempt(
            vendor=target.vendor,
            protocol=target.protocol,
            outcome=attempt.outcome or "canceled",
            to_headers=attempt.answered_after,
            longest_gap=attempt.longest_gap,
            resumes=attempt.resumes,
        )
        if attempt.unknown_events:
            metrics.unknown_vendor_events(target.protocol, attempt.unknown_events)
        for kind, count in attempt.notices.items():
            metrics.notice(target.protocol, kind, count)

    def _count_hedge(self, core: Core) -> None:
        """The hedge is the run that began later."""
        has_won = core.attempts[0].started > core.beside[0].started
        hedge = core.attempts[0] if has_won else core.beside[0]
        self._gateway.metrics.hedge(vendor=hedge.target.vendor, outcome="won" if has_won else "lost")

    def _tell_failover(self, failed: Attempt, following: Attempt, ask: Asked) -> None:
        metrics, source, to = self._gateway.metrics, failed.target, following.target
        cause = failed.outcome or "canceled"
        if source is to:
            metrics.retry(vendor=source.vendor, cause=cause)
        else:
            metrics.failover(source=source.vendor, to=to.vendor, phase=failed.phase, cause=cause)
        if failed.discarded:
            metrics.discarded(source.vendor, failed.discarded)
        error = failed.error
        self._gateway.log.warning(
            "retry" if source is to else "failover",
            request_id=ask.request_id,
            conversation_id=ask.started.conversation_id,
            message_id=ask.started.message_id,
            vendor=source.vendor,
            to=to.vendor,
            phase=failed.phase,
            cause=cause,
            code=error.code if error else None,
            discarded=failed.discarded,
            **vendors_words(error),
        )

    def _write_access_line(
        self, core: Core, ask: Asked, owner: str, timing: _Timing, *, ignored: list[str], client_gone: bool
    ) -> None:
        error = core.error
        self._gateway.log.info(
            "message",
            request_id=ask.request_id,
            key=owner,
            dialect=self._dialect,
            route=ask.route.name,
            vendor=core.target.vendor,
            protocol=core.target.protocol,
            conversation_id=ask.started.conversation_id,
            message_id=ask.started.message_id,
            stream=ask.request.stream,
            outcome=core.outcome,
            cause=core.attempts[-1].outcome,
            code=error.code if error else None,
            client_gone=client_gone,
            attempts=len(core.attempts) + len(core.beside),
            events=len(core.answer.log),
            ignored=",".join(ignored) or None,
            duration=timing.total,
            first_event=timing.first_event,
            first_text=timing.first_text,
            **vendors_words(error),
        )


def vendors_words(error: GatewayError | None) -> dict[str, object]:
    """What the log alone is told of a vendor's refusal."""
    if error is None:
        return {}
    return {
        "vendor_status": error.vendor_status,
        "vendor_code": error.vendor_code,
        "vendor_request_id": error.vendor_request_id,
        "vendor_message": error.vendor_message,
    }


def _timing(core: Core) -> _Timing:
    start = core.started_at
    ended = core.ended_at if core.ended_at is not None else time.monotonic()
    first_event, first_text = core.first_event_at, core.answer.first_text_at
    return _Timing(
        total=round(ended - start, 4),
        first_event=None if first_event is None else round(first_event - start, 4),
        first_text=None if first_text is None else round(first_text - start, 4),
    )
