"""Hardwire's cookie session: signed in with e-mail and password, or a configured cookie and the user it belongs to.

    POST /auth/sign-in/email {email, password} -> Set-Cookie, usually with {"user": {"id"}}
    GET  /auth/get-session, or /auth/session   -> {"session": {"userId"}, "user": {"id"}} or null

The cookie's name is the server's choice (`better-auth.session_token`, `__Secure-` before it over HTTPS): all are kept.
A refusal here concerns our credential, whatever its status: `upstream_auth`. Read 2026-11.
"""

import msgspec
from msgspec import Struct
from multidict import MultiMapping

from gateway.canonical.errors import GatewayError
from gateway.framing.typed import Malformed, document
from gateway.protocols.base import Calls, Credentials, Headers, VendorRequest, VendorResponse
from gateway.protocols.hardwire import wire
from gateway.protocols.hardwire.faults import refusal
from gateway.protocols.refusing import vendor_error

CREDENTIAL_REFUSALS = frozenset({400, 401, 403, 404, 422})

decode_session = document(wire.SignedIn | None)  # type: ignore[arg-type]  # a union is no `type` to mypy


class HardwireSession(Struct, frozen=True):
    cookie: str
    user_id: str

    def __repr__(self) -> str:
        return "HardwireSession(...)"


def sign_in(credentials: Credentials) -> Calls[HardwireSession]:
    if "cookie" in credentials:
        cookie = credentials["cookie"]
        return HardwireSession(cookie, (yield from _ask_user_id(cookie)))
    response = yield VendorRequest(
        "POST",
        "/auth/sign-in/email",
        headers={"Content-Type": "application/json"},
        body=msgspec.json.encode(wire.SignIn(credentials["email"], credentials["password"])),
        effect="repeatable",
        own_statuses=CREDENTIAL_REFUSALS,
    )
    _check_credential(response)
    cookie = _cookies(response.headers)
    if not cookie:
        raise GatewayError("upstream_protocol", "hardwire signed us in without a cookie")
    return HardwireSession(cookie, _signed_in_user(response.body) or (yield from _ask_user_id(cookie)))


def _ask_user_id(cookie: str) -> Calls[str]:
    """The manual and the library behind the server name the session's path differently."""
    headers = {"Cookie": cookie}
    response = yield VendorRequest("GET", "/auth/get-session", headers=headers, own_statuses=CREDENTIAL_REFUSALS)
    if response.status == 404:
        response = yield VendorRequest("GET", "/auth/session", headers=headers, own_statuses=CREDENTIAL_REFUSALS)
    _check_credential(response)
    user_id = _user_id(decode_session(response.body))
    if not user_id:
        raise vendor_error("upstream_auth")
    return user_id


def _check_credential(response: VendorResponse) -> None:
    if response.status in CREDENTIAL_REFUSALS:
        raise refusal(response.status, response.headers, response.body, "upstream_auth")


def _signed_in_user(body: bytes) -> str | None:
    """The manual promises the cookie alone, no body."""
    try:
        return _user_id(decode_session(body))
    except Malformed:
        return None


def _user_id(signed_in: wire.SignedIn | None) -> str | None:
    if signed_in is None:
        return None
    if signed_in.user is not None:
        return signed_in.user.id
    return signed_in.session.user_id if signed_in.session is not None else None


def _cookies(headers: Headers) -> str:
    """The name=value pairs of all `Set-Cookie` headers, as one `Cookie` header; an emptied cookie is none."""
    lines = headers.getall("Set-Cookie", []) if isinstance(headers, MultiMapping) else [headers.get("Set-Cookie", "")]
    pairs = (line.partition(";")[0].partition("=") for line in lines)
    cookies = {name.strip(): value.strip() for name, _, value in pairs}
    return "; ".join(f"{name}={value}" for name, value in cookies.items() if name and value)
