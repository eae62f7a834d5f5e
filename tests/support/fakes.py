"""A vendor whose records are single words, and a translator that looks up what each of them means.

    TARGET                    asks it; `Target.settings` may say that words mean something else
    sse(b"hello", b"stop")    a body of such records
    Parrot                    one streamed request; subclasses change one thing about it

A word that means an exception raises it behind the events that stand before it.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    MessageCanceled,
    MessageCompleted,
    Notice,
    StepStarted,
    TextCompleted,
    TextDelta,
    TextStarted,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.turn import Turn
from gateway.framing.record import Record
from gateway.framing.sse import SseDecoder
from gateway.protocols.base import Authorization, Calls, Credentials, Headers, VendorRequest, VendorResponse
from gateway.protocols.refusing import refusal
from gateway.routing.plan import Deadlines, Target
from gateway.routing.rules import TargetRules

Meaning = Event | Notice | Exception

WORDS: dict[bytes, Sequence[Meaning]] = {
    b"open": (TextStarted(0),),
    b"hello": (TextStarted(0), TextDelta(0, "Hello")),
    b"there": (TextDelta(0, " there"),),
    b"close": (TextCompleted(0, "Hello"),),
    b"step": (StepStarted(0, "search"),),
    b"usage": (UsageReported(input_tokens=3),),
    b"odd": (Notice("vendor_sequence"),),
    b"sparkle": (VendorEvent("sparkle", {"n": 1}),),
    b"stop": (MessageCompleted("stop", "end"),),
    b"length": (MessageCompleted("length"),),
    b"filtered": (MessageCompleted("content_filter"),),
    b"abort": (MessageCanceled("vendor"),),
    b"fault": (GatewayError("upstream_unavailable", "the vendor is down", cause="vendor_error"),),
    b"bug": (ZeroDivisionError("secret"),),
}


class Vocabulary(Struct, frozen=True):
    """What words mean at one target, before `WORDS`."""

    words: Mapping[bytes, Sequence[Meaning]] = {}


TARGET = Target(
    "acme", "parrot", Vocabulary(), Deadlines(connect=5, first_event=20, idle=30, total=120), TargetRules(retries=0)
)
SPARE = replace(TARGET, vendor="spare")

ASK = VendorRequest("POST", "/ask", framing=SseDecoder, effect="once")


def sse(*words: bytes) -> bytes:
    return b"".join(b"data: %b\n\n" % word for word in words)


class Parrot:
    model: str | None = "parrot-1"

    def __init__(self, vocabulary: Vocabulary, blocks: Blocks) -> None:
        self.blocks = blocks
        self.vendor_ids: dict[str, str] = {}
        self.ending = False
        self._words = {**WORDS, **vocabulary.words}

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:
        yield from ()
        return Authorization({"X-Key": "k"})

    def requests(self, turn: Turn) -> Calls[None]:
        yield ASK

    def feed(self, record: Record) -> Iterator[Event | Notice]:
        if record.data == b"ending":
            self.ending = True
            return
        self.vendor_ids["message"] = "m-1"
        for meaning in self._words[record.data]:
            if isinstance(meaning, Exception):
                raise meaning
            yield meaning

    def finish(self) -> Iterator[Event | Notice]:
        if not self.ending:
            raise GatewayError("upstream_protocol", "the parrot fell silent", cause="truncated")
        yield MessageCompleted("stop", "end")

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        return refusal(status, headers, vendor_message=body.decode())

    def resume(self) -> VendorRequest | None:
        return None

    def cancel(self) -> VendorRequest | None:
        return None


class Caller(Parrot):
    """Two requests: the first answer is read whole, and may be a 404."""

    response: VendorResponse | None = None

    def requests(self, turn: Turn) -> Calls[None]:
        self.response = yield VendorRequest("POST", "/open", own_statuses=frozenset({404}), effect="repeatable")
        yield ASK


class Guest(Parrot):
    """Needs a session, and signs in for it with one request."""

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:
        if session is None:
            response = yield VendorRequest("POST", "/sign-in")
            session = response.body.decode()
        return Authorization({"X-Session": str(session)}, session)
