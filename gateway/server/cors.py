"""Pages of other origins (https://fetch.spec.whatwg.org/#http-cors-protocol).

    Access-Control-Allow-Origin      on every answer to a page that may call us, streams and errors included
    preflight                        answered for any path, before anybody is asked for a key: it carries none

A caller is known by its key and never by a cookie, so credentials are not allowed, and any page may be let in.
"""

from collections.abc import Collection

from aiohttp import web

ANY = "*"
METHODS = "GET, POST, DELETE"
USUAL_PORTS = {"http": ":80", "https": ":443"}


class Cors:
    """`max_age` is the seconds for which a browser remembers an answer."""

    def __init__(self, origins: Collection[str] = (), max_age: int = 600) -> None:
        self._origins = frozenset(map(_as_sent, origins))
        self._max_age = str(max_age)

    @property
    def is_on(self) -> bool:
        return bool(self._origins)

    def preflight(self, request: web.Request) -> web.Response | None:
        """The answer to one from a page that may call us; None for any other request."""
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        if self._allowed(request) is None:
            return None
        asked = request.headers.get("Access-Control-Request-Headers", "")
        headers = {"Access-Control-Allow-Methods": METHODS, "Access-Control-Max-Age": self._max_age}
        if asked:
            headers["Access-Control-Allow-Headers"] = asked
        return web.Response(status=204, headers=headers)

    async def sign(self, request: web.Request, response: web.StreamResponse) -> None:
        """A signal of aiohttp's, sent before any head is written; it never suspends."""
        allowed = self._allowed(request)
        if allowed is not None:
            response.headers["Access-Control-Allow-Origin"] = allowed
            response.headers["Access-Control-Expose-Headers"] = ANY
        if ANY not in self._origins:
            response.headers.add("Vary", "Origin")

    def _allowed(self, request: web.Request) -> str | None:
        origin = request.headers.get("Origin")
        if origin is None:
            return None
        if ANY in self._origins:
            return ANY
        return origin if origin in self._origins else None


def _as_sent(origin: str) -> str:
    """As a browser sends it: in lower case, and without the port that is usual for the scheme."""
    scheme, _, host = origin.lower().partition("://")
    return f"{scheme}://{host.removesuffix(USUAL_PORTS[scheme])}" if scheme in USUAL_PORTS else origin
