"""What can be told without asking a vendor: which models there are, and about how large a message is.

A model is what a client may ask for by name: a route, or a name that a route answers for.
"""

from math import ceil

from gateway.canonical.errors import GatewayError
from gateway.canonical.one_text import as_line
from gateway.canonical.resources import CountTokens, GetModel, ListModels, Model, Page, TokenCount
from gateway.canonical.turn import HistoryMessage, MessageRequest
from gateway.server.gateway import Gateway

BYTES_PER_TOKEN = 4
"""About what the tokenisers of today make of English; of other languages, and of code, a token is less."""


class Catalogue:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def perform(self, ask: ListModels | GetModel | CountTokens) -> Page[Model] | Model | TokenCount:
        match ask:
            case ListModels():
                return Page([self._model(name) for name in self._names()])
            case GetModel(name=name):
                return self._find(name)
            case CountTokens(request=request):
                self._gateway.route(request.route)
                return TokenCount(ceil(_size(request) / BYTES_PER_TOKEN))

    def _names(self) -> list[str]:
        routes = self._gateway.routes
        models = [model for route in routes.values() for model in route.models if not model.endswith("*")]
        return [*routes, *models]

    def _model(self, name: str) -> Model:
        return Model(name, self._gateway.began)

    def _find(self, name: str) -> Model:
        """Raises `not_found`."""
        if not name:
            raise GatewayError("not_found", "no such model", details={"path": "$.route"})
        self._gateway.route(name)
        return self._model(name)


def _size(request: MessageRequest) -> int:
    """Bytes of what is said and offered; of images and files their names alone."""
    said = [*request.history, HistoryMessage("user", list(request.parts()))]
    texts = [request.instructions or "", *map(as_line, said)]
    for tool in request.tools:
        texts += [tool.name, tool.description or "", str(tool.parameters)]
    return sum(len(text.encode("utf-8", "replace")) for text in texts)
