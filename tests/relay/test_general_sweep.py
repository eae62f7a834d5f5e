"""Answers of the general protocols, cut after every byte and in every way: completed only behind the vendor's terminal.

The recorded streams and the rich ones (`tests/protocols/rich/`); long ones are cut around the ends of their lines.
"""

import re
from functools import partial
from pathlib import Path

import msgspec
import pytest

from gateway.protocols.base import Reset, Send, Step
from gateway.protocols.registry import BUILT_IN
from tests.support.doors import DOORS
from tests.support.exchanges import Exchange
from tests.support.play import SILENCE, STREAM, check, cut, in_pieces

pytestmark = pytest.mark.sweep

HERE = Path(__file__).parents[1] / "protocols"

TERMINALS = {
    "openai_chat": rb'"finish_reason": ?"\w+"|data: \[DONE\]',
    "openai_responses": rb'"type": ?"response\.(completed|incomplete)"',
    "anthropic": rb'"type": ?"message_stop"',
    "gemini": rb'"finishReason": ?"\w+"',
    "ai_sdk": rb'"type": ?"finish"|data: \[DONE\]',
    "ag_ui": rb'"type": ?"RUN_FINISHED"',
}
"""What stands in the frame that ends an answer well: before it is whole, none is completed."""

FIXTURES = [
    "anthropic/examples/spliced-message-start.sse",
    "anthropic/examples/tool-cut-by-max-tokens.sse",
    "gemini/examples/plain-text.sse",
    "gemini/examples/streamed-call-arguments.sse",
    "gemini/examples/url-context-grounding.sse",
    "openai_chat/examples/azure-prompt-filter.sse",
    "openai_chat/examples/openai-parallel-tools.sse",
    "openai_chat/examples/openrouter-reasoning-comments.sse",
    "openai_responses/examples/function-call.sse",
    "openai_responses/examples/quota-error-then-failed.sse",
]
RICH = [f"rich/{name}{kind}.sse" for name in DOORS for kind in ("", ".failed")]

LONG = 2000
NEAR = 1

every_answer = pytest.mark.parametrize("name", [*RICH, *FIXTURES])


def exchange(name: str) -> tuple[Exchange, bytes]:
    body = (HERE / name).read_bytes()
    protocol = Path(name).name.split(".")[0] if name.startswith("rich/") else name.partition("/")[0]
    settings = msgspec.convert(DOORS[protocol].target, BUILT_IN[protocol].target)
    return Exchange(protocol, settings, ((STREAM, Send(body)),), (0,)), body


def places(body: bytes) -> list[int]:
    if len(body) <= LONG:
        return list(range(len(body) + 1))
    ends = [0, *(found.end() for found in re.finditer(rb"\n", body))]
    return sorted({at for end in ends for at in range(max(end - NEAR, 0), min(end + NEAR, len(body)) + 1)})


def terminal(protocol: str, body: bytes) -> int:
    """After how many bytes the frame is whole that ends the answer well; never, where there is none."""
    found = re.search(TERMINALS[protocol], body)
    if found is None:
        return len(body) + 1
    frame_end = re.compile(rb"\n\n|\r\n\r").search(body, found.start())
    assert frame_end is not None
    return frame_end.end()


@every_answer
@pytest.mark.parametrize("ending", [(), (Reset(),), (SILENCE,)], ids=["clean", "reset", "silence"])
def test_an_answer_that_is_cut_is_completed_only_behind_its_terminal(name: str, ending: tuple[Step, ...]) -> None:
    whole, body = exchange(name)
    outcome, end = whole.play().core.outcome, terminal(whole.protocol, body)
    for at in places(body) if ending != (SILENCE,) else places(body)[::8]:
        played = whole.play(partial(cut, at=at, ending=ending))
        check(played)
        assert played.core.outcome == "failed" or (played.core.outcome == outcome and at >= end), at


@every_answer
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_an_answer_in_pieces_is_the_same_as_whole(name: str, size: int) -> None:
    whole, _ = exchange(name)
    expected, played = whole.play(), whole.play(partial(in_pieces, size=size))
    check(played)
    assert (played.data, played.log) == (expected.data, expected.log)
