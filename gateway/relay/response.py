"""A vendor's response while it comes in, and what may be said of it before any translator sees it."""

from gateway.canonical.errors import Cause, Code, GatewayError
from gateway.framing.record import Framing
from gateway.protocols.base import Headers, VendorRequest

REFUSAL_GRACE = 5.0
"""Seconds that the body of a refusal may take; what has come by then is read."""


class Response:
    """Fed to the translator record by record, kept whole, or kept as a refusal."""

    def __init__(self, status: int, headers: Headers, now: float) -> None:
        self.status = status
        self.headers = headers
        self.answered_at = now
        self.framing: Framing | None = None
        self.is_refusal = False
        self.pieces: list[bytes] = []
        self.size = 0

    def keep(self, data: bytes) -> None:
        self.pieces.append(data)
        self.size += len(data)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


def is_wanted(request: VendorRequest, status: int) -> bool:
    return 200 <= status < 300 or status in request.own_statuses


def unusable(request: VendorRequest, status: int, headers: Headers) -> GatewayError | None:
    """Why an answer is of no use to any translator, whatever stands in it."""
    if 300 <= status < 400:
        return broken("the vendor answered with a redirect", "redirect")
    if status in {204, 205} and request.method != "DELETE":
        return broken("the vendor answered without a body", "truncated")
    if is_wanted(request, status) and is_compressed(headers):
        return broken("the vendor compressed its answer", "encoding")
    return None


def is_compressed(headers: Headers) -> bool:
    """Though identity was asked for."""
    return headers.get("Content-Encoding", "").strip().lower() not in {"", "identity"}


def broken(message: str, cause: Cause, code: Code = "upstream_protocol") -> GatewayError:
    return GatewayError(code, message, cause=cause)
