"""One message, from its start to its one terminal event: the synchronous heart of the relay.

The driver tells the core what happened and when; the core answers with bytes for the client and says what to do next.

    do       "authorize": sign in, not before `not_before`, then `authorized` or `unauthorized`
             "call": send `request`, then `sent` (before it `connects`, if need be), `answered`, `received` ..., `ended`
             "done": `outcome` is known; the bytes just returned are the last
    epoch    rises whenever the request or response in hand is to be dropped
    renew    the session in hand was refused: sign in anew

An attempt comes from `not_sent` through `possibly_accepted` to `committed`; the plan decides by its phase whom to ask
after it failed. A run that goes on at the vendor while its stream broke is gone back to first, in the same attempt and
after commit as well. Nothing of a failed attempt reaches the next: each has its own translator, and what it yielded
before its first content event was held back (see `answer`). Times are seconds of a monotonic clock.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import Cause, Code, GatewayError
from gateway.canonical.events import (
    Event,
    MessageCanceled,
    MessageCompleted,
    MessageStarted,
    Notice,
    TextDelta,
    VendorEvent,
)
from gateway.canonical.turn import Turn
from gateway.framing.record import Record, TooLarge
from gateway.framing.typed import Malformed
from gateway.protocols.base import Authorization, Encoder, Headers, Translator, VendorRequest, VendorResponse
from gateway.relay.answer import Answer, Limits
from gateway.relay.attempt import Attempt, Left, Try
from gateway.relay.response import REFUSAL_GRACE, Response, broken, is_compressed, is_wanted, unusable
from gateway.routing.plan import Ended, Failure, Phase, Plan, Target

ENDING_GRACE = 1.0
"""Seconds that trailers may take once the vendor's success terminal was read."""

ROUNDING = 0.001
"""Seconds by which a wait may end too early."""

RESUME_WAITS = (0.0, 0.5, 1.0)
"""Seconds before each time in a row that a vendor's run is gone back to."""

BROKEN_OFF: frozenset[Cause] = frozenset(
    {
        "connect",
        "connect_timeout",
        "stale_connection",
        "reset_before_headers",
        "reset_midstream",
        "truncated",
        "status_5xx",
    }
)
"""Causes after which the vendor's run may go on all the same."""

OF_A_VENDOR: frozenset[Code] = frozenset({"content_filtered", "context_too_long", "quota_exhausted"})
"""What, beside all that is `upstream_`, a vendor alone can say: the client is told which one."""

ENDED_EARLY = "the vendor's answer ended before its terminal"

Do = Literal["authorize", "call", "done"]
Outcome = Literal["completed", "failed", "canceled"]
Leaving = Literal["client_gone", "slow_client", "canceled", "hedged"]


class Pace(Struct, frozen=True):
    """Seconds: how long a stream's headers may wait, and the longest silence towards the client."""

    headers_after: float = 10.0
    heartbeat: float = 10.0


class Ask(Protocol):
    """What is asked, and how a target is asked it."""

    started: MessageStarted
    request_id: str
    wants_vendor_events: bool
    can_discard: bool
    """Whether the client can be told to forget what it was shown."""

    def is_prepared(self, target: Target) -> bool:
        """Whether `turn` needs nothing that has to be read before."""
        ...

    async def prepare(self, target: Target) -> None:
        """Reads it. Raises `GatewayError`."""
        ...

    def turn(self, target: Target, partial: str) -> Turn:
        """`partial` is what an earlier attempt has shown, for this one to go on with."""
        ...

    def translator(self, target: Target, blocks: Blocks) -> Translator: ...

    def rebind(self, target: Target) -> bool:
        """Whether to ask the target again, for a conversation of its own: the vendor has lost the one it had."""
        ...

    def rejoin(self, target: Target, vendor_ids: dict[str, str]) -> None:
        """The next attempt there is in the conversation that the last one began, if it did."""
        ...

    def is_secret(self, target: Target, text: str) -> bool:
        """Whether a text that a vendor sent, to be shown to a client, holds a credential of ours."""
        ...


class Core:
    def __init__(
        self, ask: Ask, plan: Plan, encoder: Encoder | None, now: float, *, limits: Limits, pace: Pace
    ) -> None:
        self.do: Do = "authorize"
        self.not_before = now
        self.epoch = 0
        self.renew = False
        self.request: VendorRequest | None = None
        self.request_headers: dict[str, str] = {}
        self.outcome: Outcome | None = None
        self.error: GatewayError | None = None
        self.bugs: list[BaseException] = []
        """Exceptions that nobody declared, for the log."""
        self.attempts: list[Attempt] = []
        self.beside: list[Attempt] = []
        """Those of a run that lost the race against this one."""
        self.left: list[Left] = []
        """What goes on at vendors that were left, for the driver to stop."""
        self.started_at = now
        self.first_event_at: float | None = None
        self.ended_at: float | None = None
        self.answer = Answer(ask.started, encoder, limits, now)
        self.ask = ask
        self._plan = plan
        self._limits = limits
        self._pace = pace
        self._streams = encoder is not None
        self.is_muted = False
        """Whether nobody is to be kept waiting by a start or by heartbeats, as where the client has gone."""
        self._numbering = Numbering(ask.started.message_id.rpartition("_")[2])
        self._partial = ""
        self._response: Response | None = None
        self._open_next(None, now)

    @property
    def target(self) -> Target:
        return self._attempt.target

    @property
    def translator(self) -> Translator:
        return self._try.translator

    # What the driver tells.

    def authorized(self, authorization: Authorization, now: float) -> bytes:
        self.request_headers = authorization.headers
        self._try.has_session = authorization.session is not None
        if self.renew:
            self.renew = False
            self._call()
        elif not self._fail_where_paused(now):
            self._advance(None, now)
        return self.answer.flush(now)

    def waited(self, now: float) -> bytes:
        """It is `not_before`."""
        self._fail_where_paused(now)
        return self.answer.flush(now)

    def unauthorized(self, error: BaseException, now: float) -> bytes:
        self._fail_attempt(error, now)
        return self.answer.flush(now)

    def connects(self, now: float) -> None:
        """There is no connection to send the request on: one is made."""
        attempt = self._try
        if not attempt.is_connecting:
            attempt.is_connecting = True
            attempt.called_at = now

    def sent(self, now: float) -> bytes:
        """Bytes of the request may have left: from here on the vendor has possibly accepted it."""
        attempt = self._try
        attempt.phase = "possibly_accepted"
        attempt.is_connecting = False
        attempt.had_stored = attempt.may_have_stored
        if self.request is not None and self.request.effect == "once":
            attempt.may_have_stored = True
        return self.answer.flush(now)

    def answered(self, status: int, headers: Headers, now: float) -> bytes:
        if self._attempt.answered_after is None:
            self._attempt.answered_after = now - self._attempt.started
        response = self._response = Response(status, headers, now)
        self._judge(response, now)
        return self.answer.flush(now)

    def received(self, data: bytes, now: float) -> bytes:
        response = self._response
        if response is None:
            return b""
        if response.framing is None:
            self._keep(response, data, now)
        else:
            try:
                records = response.framing.feed(data)
            except TooLarge as error:
                self._fail_attempt(error, now)
            else:
                self._feed(records, now)
        return self.answer.flush(now)

    def ended(self, cause: GatewayError | None, now: float) -> bytes:
        """The response is over, cleanly or for `cause`; also where none ever came."""
        response = self._response
        if response is not None and response.is_refusal:
            self._refuse(response, now)
        elif cause is not None:
            self._fail_attempt(cause, now)
        elif response is None:
            self._fail_attempt(
                broken("the vendor closed without an answer", "reset_before_headers", "upstream_unavailable"), now
            )
        else:
            self._end_response(response, now)
        return self.answer.flush(now)

    def tick(self, now: float) -> bytes:
        if self.do != "done":
            self._check_deadlines(now)
        if self.do != "done" and self.answer.lags(now):
            self._leave_or_accept(now)
        if self.do != "done" and self._streams and not self.is_muted:
            if not self.answer.released and now - self.started_at >= self._headers_after():
                self.answer.release()
            elif self.answer.released and now - self.answer.last_out >= self._pace.heartbeat:
                self.answer.heartbeat()
        return self.answer.flush(now)

    def stood_still(self, since: float, now: float) -> None:
        """The client did not read, so that the vendor was not heard: that is none of the vendor's time."""
        attempt = self._try
        attempt.called_at = _without(attempt.called_at, since, now)
        attempt.last_event = _without(attempt.last_event, since, now)
        attempt.resumed_at_event = _without(attempt.resumed_at_event, since, now)
        if attempt.ending_at is not None:
            attempt.ending_at = _without(attempt.ending_at, since, now)
        if attempt.first_event is None:
            self._attempt.started = _without(self._attempt.started, since, now)
        if self._response is not None:
            self._response.answered_at = _without(self._response.answered_at, since, now)
        self.answer.stood_still(since, now)

    def cancel(self, reason: Leaving, now: float) -> bytes:
        """The client left, stopped reading, or asked to stop: the vendor is left."""
        if self.do != "done":
            self._leave_attempt(reason, None, now)
            self.answer.end(MessageCanceled(reason), self._attempt.vendor_ids, self._attempt.model)
            self._be_done("canceled", now)
        return self.answer.flush(now)

    def abandon(self, error: GatewayError, now: float) -> bytes:
        """Ends the message where even its failure could not be told whole."""
        self.error = error
        self._attempt.outcome = error.cause
        self._be_done("failed", now)
        return self.answer.flush(now)

    def fail(self, error: GatewayError, now: float) -> bytes:
        """Ends the message for a reason of ours."""
        if self.do != "done":
            self._leave_attempt(error.cause, error, now)
            self._fail(error, now)
        return self.answer.flush(now)

    # Attempts.

    def _fail_where_paused(self, now: float) -> bool:
        """Whether another message has been told meanwhile to come back later, so that this attempt fails."""
        left = self._plan.pause_left(now)
        if left <= ROUNDING:
            return False
        error = GatewayError("upstream_rate_limited", "the vendor limits our rate", retry_after=left)
        error.may_be_accepted = False
        self._fail_attempt(error, now)
        return True

    def _open_next(self, failure: Failure | None, now: float) -> None:
        while (choice := self._next_target(failure, now)) is not None:
            if failure is not None and failure.phase == "committed":
                self._break_off(failure)
            target, wait = choice
            self._drop_response()
            self.not_before = now + wait
            self._attempt = Attempt(target, self.not_before)
            self.attempts.append(self._attempt)
            self.answer.begin(target.vendor, len(self.attempts), target.rules.min_speed)
            self.request = None
            self.renew = False
            self.do = "authorize"
            self.epoch += 1
            try:
                self._try = Try(self.ask.translator(target, Blocks(self._numbering)), self.not_before)
            except Exception as error:  # noqa: BLE001  (a protocol may be anybody's)
                explained = self._explain(error)
                self._note_outcome(explained.cause, "not_sent", explained)
                self._plan.ended(Ended(target, explained.cause, explained, None, None), now)
                failure = Failure(explained, "not_sent", target)
            else:
                return
        if failure is None:
            raise ValueError("a plan without a target")
        self._fail(self._reason(failure.error), now)

    def _reason(self, last: GatewayError) -> GatewayError:
        """That a target cannot do what was asked is told only where none could."""
        errors = [attempt.error for attempt in self.attempts if attempt.error is not None]
        able = [error for error in errors if error.code != "unsupported"]
        return able[-1] if able else last

    def _next_target(self, failure: Failure | None, now: float) -> tuple[Target, float] | None:
        """Whom the plan names; but a vendor that lost the conversation is asked for a new one first."""
        if failure is not None and _is_lost(failure) and self.ask.rebind(failure.target):
            self._plan.again(now)
            return failure.target, 0.0
        chosen = self._plan.next(failure, now)
        if chosen is not None:
            earlier = [attempt for attempt in self.attempts if attempt.target is chosen[0]]
            if earlier:
                self.ask.rejoin(chosen[0], earlier[-1].vendor_ids)
        return chosen

    def _advance(self, response: VendorResponse | None, now: float) -> None:
        """Asks the translator for its next request; where there is none, the attempt is to be finished."""
        attempt = self._try
        try:
            if attempt.calls is None:
                attempt.calls = attempt.translator.requests(self.ask.turn(self.target, self._partial))
            self.request = next(attempt.calls) if response is None else attempt.calls.send(response)
            attempt.ending_at = now if attempt.translator.ending else None
        except StopIteration:
            self._finish(now)
        except Exception as error:  # noqa: BLE001  (a translator may be anybody's)
            self._fail_attempt(error, now)
        else:
            self._call()

    def _call(self) -> None:
        self.do = "call"
        self.epoch += 1
        self._drop_response()
        self._try.is_connecting = False

    def _finish(self, now: float) -> None:
        """Bytes and requests are over: what the translator has left to say must hold a terminal."""
        attempt, epoch = self._try, self.epoch
        attempt.is_finishing = True
        try:
            for event in attempt.translator.finish():
                self._consume(event, now)
                if self.epoch != epoch:
                    return
        except Exception as error:  # noqa: BLE001  (a translator may be anybody's)
            self._fail_attempt(error, now)
            return
        self._fail_attempt(broken(ENDED_EARLY, "truncated"), now)

    def _fail_attempt(self, cause: BaseException, now: float) -> None:
        attempt = self._try
        error = self._explain(cause)
        if not attempt.is_finishing and self._is_ending():
            self._finish(now)
            return
        if self._resume(error):
            return
        error = attempt.broken or error
        self._leave_attempt(error.cause, error, now)
        phase = self._attempt.phase
        if phase == "committed" and not self._may_break_off(error):
            self._fail(error, now)
        else:
            self._open_next(Failure(error, phase, self.target, is_repeatable=not attempt.may_have_stored), now)

    def _may_break_off(self, error: GatewayError) -> bool:
        match self.target.rules.after_break(error.cause):
            case "restart":
                return self.ask.can_discard
            case "continue":
                return self.answer.is_text_alone()
            case _:
                return False

    def _break_off(self, failure: Failure) -> None:
        """The client has seen content of the failed attempt: the next one goes on with it, or takes its place."""
        is_restart = failure.target.rules.after_break(failure.error.cause) == "restart"
        self.answer.break_off(failure.error.body(self.ask.request_id), discard=is_restart)
        self._partial = "" if is_restart else self.answer.text()

    def _leave_or_accept(self, now: float) -> None:
        """A slow answer is better than none, and one that is whole better than another."""
        if self._plan.has_other(now) and not self._is_ending():
            self._time_out("the vendor answers too slowly", "too_slow", now)
        else:
            self.answer.accept(self._try.translator.model)

    def _resume(self, error: GatewayError) -> bool:
        """Goes back to a run that may go on without us; thrice in a row at most, if nothing new is heard of it."""
        attempt = self._try
        if attempt.last_event > attempt.resumed_at_event:
            attempt.resumes = 0
        is_over = attempt.is_finishing or self._is_ending()
        if is_over or error.cause not in BROKEN_OFF or attempt.resumes == len(RESUME_WAITS):
            return False
        try:
            request = attempt.translator.resume()
        except Exception as bug:  # noqa: BLE001  (a translator may be anybody's)
            self._explain(bug)
            return False
        if request is None:
            return False
        self.request = msgspec.structs.replace(request, after=max(request.after, RESUME_WAITS[attempt.resumes]))
        attempt.resumes += 1
        attempt.resumed_at_event = attempt.last_event
        attempt.broken = attempt.broken or error
        self._attempt.resumes += 1
        self._call()
        return True

    def _explain(self, cause: BaseException) -> GatewayError:
        """Any exception as a `GatewayError`; one that nobody declared is our bug, and its text never leaves us."""
        match cause:
            case GatewayError():
                error = cause
            case Malformed():
                error = broken("the vendor sent an event that cannot be read", "malformed")
                error.vendor_message = str(cause)
            case RecursionError() | UnicodeError():
                error = broken("the vendor sent an event that cannot be passed on", "malformed")
            case TooLarge():
                error = broken(str(cause), "too_large")
            case _:
                self.bugs.append(cause)
                error = GatewayError("internal", "the gateway failed")
        if error.code.startswith("upstream_") or error.code in OF_A_VENDOR or error.vendor_code is not None:
            error.vendor = error.vendor or self.target.vendor
        error.vendor_code = self._shown(error.vendor_code)
        error.vendor_request_id = self._shown(error.vendor_request_id)
        return error

    def _shown(self, text: str | None) -> str | None:
        return None if text and self.ask.is_secret(self.target, text) else text

    # The response in hand.

    def _judge(self, response: Response, now: float) -> None:
        """What is to become of a response, by its status and headers."""
        request = self.request
        if request is None:
            raise ValueError("an answer without a request")
        status, headers = response.status, response.headers
        fault = unusable(request, status, headers)
        if fault is not None:
            self._fail_attempt(fault, now)
        elif not is_wanted(request, status):
            response.is_refusal = True
            if is_compressed(headers):
                self._refuse(response, now)
        elif request.framing is not None and status not in request.own_statuses:
            framing = request.framing(self._limits.record)
            media_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if media_type in framing.content_types:
                response.framing = framing
                self._try.broken = None
            else:
                response.is_refusal = True

    def _keep(self, response: Response, data: bytes, now: float) -> None:
        response.keep(data)
        if response.is_refusal and response.size >= self._limits.error_body:
            self._refuse(response, now)
        elif response.size > self._limits.record:
            self._fail_attempt(broken(f"a document is over {self._limits.record} bytes", "too_large"), now)

    def _refuse(self, response: Response, now: float) -> None:
        attempt = self._try
        if response.status == 401 and attempt.has_session and not attempt.was_renewed:
            attempt.was_renewed = True
            attempt.may_have_stored = attempt.had_stored
            self.renew = True
            self.do = "authorize"
            self.epoch += 1
            self._drop_response()
            return
        body = response.body[: self._limits.error_body]
        try:
            error = attempt.translator.refuse(response.status, response.headers, body)
        except Exception as bug:  # noqa: BLE001  (a translator may be anybody's)
            self._fail_attempt(bug, now)
            return
        error.vendor_status = response.status
        if 400 <= response.status < 500 or not error.may_be_accepted:
            attempt.may_have_stored = attempt.had_stored
        self._fail_attempt(error, now)

    def _end_response(self, response: Response, now: float) -> None:
        """The body is whole, or its trailers were waited for long enough: the translator goes on."""
        if response.framing is not None:
            epoch = self.epoch
            try:
                records = response.framing.end()
            except TooLarge as error:
                self._fail_attempt(error, now)
                return
            self._feed(records, now)
            if self.epoch != epoch or self._resume(broken(ENDED_EARLY, "truncated")):
                return
        self._drop_response()
        self._advance(VendorResponse(response.status, response.headers, response.body), now)

    def _drop_response(self) -> None:
        response, self._response = self._response, None
        if response is not None and response.framing is not None and response.framing.repaired:
            self._attempt.notices["repaired_utf8"] += response.framing.repaired

    # Events.

    def _feed(self, records: Sequence[Record], now: float) -> None:
        attempt, answer, epoch = self._try, self.answer, self.epoch
        translator = attempt.translator
        feed = translator.feed
        before = now if attempt.first_event is None else attempt.last_event
        try:
            rest = iter(records)
            for record in rest:
                for event in feed(record):
                    if type(event) is TextDelta and answer.flows:
                        answer.take_text(event)
                        attempt.last_event = now
                    else:
                        self._consume(event, now)
                        if self.epoch != epoch:
                            self._count_after_terminal(rest)
                            return
            answer.check_size()
            self._attempt.longest_gap = max(self._attempt.longest_gap, attempt.last_event - before)
            if translator.ending:
                self._note_ending(now)
            else:
                attempt.ending_at = None  # the vendor goes on behind what looked like its end
        except Exception as error:  # noqa: BLE001  (a translator may be anybody's)
            self._fail_attempt(error, now)

    def _consume(self, event: Event | Notice, now: float) -> None:
        """Passes one event on; each real one feeds the idle timer."""
        attempt = self._try
        if isinstance(event, (MessageCompleted, MessageCanceled)):  # a union is looked into for longer
            self._end(event, now)
        elif isinstance(event, Notice):
            self._attempt.notices[event.kind] += 1
        elif isinstance(event, VendorEvent):
            self._pass_vendor_event(event, now)
        else:
            self.answer.take(event, attempt.translator.model, now)
            attempt.last_event = now
            if attempt.first_event is None:
                self._note_first_event(now)

    def _note_first_event(self, now: float) -> None:
        self._try.first_event = now
        if self.first_event_at is None:
            self.first_event_at = now

    def _note_ending(self, now: float) -> None:
        if self._try.ending_at is None:
            self._try.ending_at = now

    def _is_ending(self) -> bool:
        try:
            return self._try.translator.ending
        except Exception:  # noqa: BLE001  (a translator may be anybody's; it is told of where it first failed)
            return False

    def _pass_vendor_event(self, event: VendorEvent, now: float) -> None:
        """What we do not know may be a heartbeat, so it feeds no timer."""
        self._attempt.unknown_events += 1
        if self.ask.wants_vendor_events:
            named = msgspec.structs.replace(event, vendor=self.target.vendor)
            self.answer.take(named, self._try.translator.model, now)

    def _count_after_terminal(self, records: Iterator[Record]) -> None:
        if self.do == "done" and self.outcome == "completed":
            with suppress(Exception):
                for record in records:
                    if any(map(_is_spoken, self._try.translator.feed(record))):
                        self._attempt.notices["after_terminal"] += 1

    # Endings.

    def _leave_attempt(self, outcome: Cause | Literal["completed"], error: GatewayError | None, now: float) -> None:
        """The attempt is over before the vendor said so; what its translator knows by now is kept."""
        self._learn(outcome)
        self._settle(outcome, error, now)
        if self._try.phase != "not_sent":
            self._leave_run()

    def _leave_run(self) -> None:
        translator = self._try.translator
        try:
            stop = translator.cancel()
        except Exception as bug:  # noqa: BLE001  (a translator may be anybody's)
            self.bugs.append(bug)
        else:
            if stop is not None:
                self.left.append(Left(self.target.vendor, translator, stop))

    def _settle(self, outcome: Cause | Literal["completed"], error: GatewayError | None, now: float) -> None:
        may_be_accepted = error is None or error.may_be_accepted or self._try.may_have_stored
        phase = "committed" if self.answer.committed else self._try.phase if may_be_accepted else "not_sent"
        self._note_outcome(outcome, phase, error)
        self._tell_plan(outcome, error, now)
        self._attempt.is_uncertain = self._try.may_have_stored and outcome != "completed"
        if self._try.calls is not None:
            with suppress(Exception):
                self._try.calls.close()

    def _learn(self, outcome: Cause | Literal["completed"]) -> None:
        translator, attempt = self._try.translator, self._attempt
        try:
            attempt.vendor_ids = dict(translator.vendor_ids)
            attempt.model = translator.model
        except Exception as bug:  # noqa: BLE001  (a translator may be anybody's)
            if outcome != "internal":
                self._explain(bug)

    def _note_outcome(self, outcome: Cause | Literal["completed"], phase: Phase, error: GatewayError | None) -> None:
        self._attempt.outcome = outcome
        self._attempt.phase = phase
        self._attempt.error = error

    def _tell_plan(self, outcome: Cause | Literal["completed"], error: GatewayError | None, now: float) -> None:
        began, event, text = self._attempt.started, self._try.first_event, self.answer.attempt_text_at
        first_event = None if event is None else event - began
        first_text = None if text is None else text - began
        self._plan.ended(Ended(self.target, outcome, error, first_event, first_text), now)

    def _end(self, terminal: MessageCompleted | MessageCanceled, now: float) -> None:
        objection = self.answer.objection(terminal) if isinstance(terminal, MessageCompleted) else None
        if objection is not None:
            self._try.is_finishing = True
            self._fail_attempt(objection, now)
            return
        outcome: Literal["completed", "canceled"] = "canceled" if isinstance(terminal, MessageCanceled) else "completed"
        self._learn(outcome)
        self.answer.end(terminal, self._attempt.vendor_ids, self._attempt.model)  # which may refuse it yet
        self._settle(outcome, None, now)
        self._be_done(outcome, now)

    def _fail(self, error: GatewayError, now: float) -> None:
        error = _own(error)
        if len(self.attempts) > 1:
            error.details = {**error.details, "attempts": [attempt.told() for attempt in self.attempts]}
        self.error = error
        self.answer.fail(error, self.ask.request_id, self._attempt.vendor_ids)
        self._be_done("failed", now)

    def _be_done(self, outcome: Outcome, now: float) -> None:
        self.outcome = outcome
        self.ended_at = now
        self.do = "done"
        self.epoch += 1
        self._drop_response()
        for attempt, characters in self.answer.discarded.items():
            self.attempts[attempt - 1].discarded = characters

    # Time.

    def _check_deadlines(self, now: float) -> None:
        attempt, response, deadlines = self._try, self._response, self.target.deadlines
        if attempt.ending_at is not None:
            if now - attempt.ending_at >= ENDING_GRACE:
                self._stop_waiting_for_trailers(now)
        elif response is not None and response.is_refusal:
            if now - response.answered_at >= REFUSAL_GRACE:
                self._refuse(response, now)
        elif self.do == "call" and attempt.is_connecting and now - attempt.called_at >= deadlines.connect:
            self._time_out("the vendor could not be reached in time", "connect_timeout", now)
        elif attempt.first_event is None and now - self._attempt.started >= deadlines.first_event:
            self._time_out("the vendor did not begin to answer in time", "first_event_timeout", now)
        elif now - self._attempt.started >= deadlines.total:
            self._time_out("the vendor took too long in all", "total_timeout", now)
        elif attempt.first_event is not None and now - attempt.last_event >= deadlines.idle:
            self._time_out("the vendor fell silent", "idle_timeout", now)

    def _headers_after(self) -> float:
        own = self.target.rules.headers_after
        return self._pace.headers_after if own is None else own

    def _stop_waiting_for_trailers(self, now: float) -> None:
        response = self._response
        if response is None or response.framing is None:
            self._finish(now)
        else:
            self._end_response(response, now)

    def _time_out(self, message: str, cause: Cause, now: float) -> None:
        self._fail_attempt(GatewayError("upstream_timeout", message, cause=cause), now)


def _without(moment: float, since: float, now: float) -> float:
    """Moved on by the time that stood still, as far as it lies behind that moment; one that is yet to come stays."""
    return moment + max(0.0, now - max(moment, since))


def _own(error: GatewayError) -> GatewayError:
    """A copy that may tell more of this message: a sign-in that fails is one error for all who waited for it."""
    own = GatewayError(error.code, error.message)
    vars(own).update(vars(error))
    own.__cause__ = error.__cause__
    return own


def _is_lost(failure: Failure) -> bool:
    """Whether the vendor refused the turn because it does not know the conversation; not where it took it first."""
    return failure.error.code == "upstream_not_found" and failure.is_repeatable and failure.phase != "committed"


def _is_spoken(event: Event | Notice) -> bool:
    """Whether a vendor that should be silent said something: an event, or what its translator calls so itself."""
    return not isinstance(event, Notice) or event.kind == "after_terminal"
