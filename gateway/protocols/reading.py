"""Reading a client's request: what the dialects have in common.

    read_body        the JSON body as a typed Struct, or `bad_request` with the path that does not fit
    read_query       the query likewise
    bearer, header   where a client's key may stand
    user_id          what a client calls its user, as far as it may go into ours
    retry_headers    what tells a client's library when to ask again

No error shows a value, because a value may be a secret.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.turn import MAX_METADATA, UserId
from gateway.framing.typed import UNREADABLE, explain
from gateway.protocols.base import ClientRequest, all_values

S = TypeVar("S", bound=Struct)

_encode = msgspec.json.Encoder().encode


def refuse(path: str, problem: str) -> GatewayError:
    """`bad_request` for what stands at `path`, such as `$.messages[0].role` or `query.limit`."""
    return GatewayError(
        "bad_request", f"the request does not fit: {path}: {problem}", details={"path": path, "problem": problem}
    )


def cannot_carry(path: str, what: str) -> GatewayError:
    """`unsupported` for what a dialect has and the gateway cannot pass on."""
    return GatewayError("unsupported", f"{path}: {what} cannot be passed on", details={"path": path})


def require_json(request: ClientRequest) -> None:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise GatewayError("unsupported_media_type", "the body must be application/json")


def read_body(decode: Callable[[bytes], S], request: ClientRequest) -> S:
    """The body; `decode` is a `msgspec.json.Decoder`'s. Raises `bad_request`, and `unsupported_media_type`."""
    require_json(request)
    try:
        return decode(request.body)
    except UNREADABLE as error:
        raise refuse(*explain(error)) from error


def read_query(kind: type[S], request: ClientRequest) -> S:
    try:
        return msgspec.convert(request.query, kind, strict=False)
    except UNREADABLE as error:
        path, problem = explain(error)
        raise refuse("query" + path.removeprefix("$"), problem) from error


def check_metadata(metadata: dict[str, Any], path: str = "$.metadata") -> None:
    if len(_encode(metadata)) > MAX_METADATA:
        raise refuse(path, f"over {MAX_METADATA} bytes of JSON")


def user_id(given: str | None, path: str) -> str | None:
    """Raises `bad_request` for one that could not go into logs and requests."""
    if given is None:
        return None
    try:
        return msgspec.convert(given, UserId)
    except UNREADABLE as error:
        raise refuse(path, "expected 1 to 256 printable characters") from error


def bearer(request: ClientRequest) -> str | None:
    """The one `Authorization: Bearer` (RFC 6750, 2.1); None where there is none, or more than one."""
    value = header(request, "Authorization")
    scheme, _, key = (value or "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def header(request: ClientRequest, name: str) -> str | None:
    """A header that stands exactly once."""
    values = all_values(request.headers, name)
    return values[0] if len(values) == 1 else None


def retry_headers(error: GatewayError) -> dict[str, str]:
    """`Retry-After` in whole seconds, where it is known when to ask again."""
    return {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after))}


def exact_retry_headers(error: GatewayError) -> dict[str, str]:
    """The same, and `retry-after-ms`, for libraries that read it."""
    if error.retry_after is None:
        return {}
    return {**retry_headers(error), "retry-after-ms": str(math.ceil(error.retry_after * 1000))}
