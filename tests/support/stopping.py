"""What tests of stopping a message ask of the gateway beside the message itself, by any client session."""

import asyncio
from typing import Any

import aiohttp

Told = tuple[int, Any]
"""Status and document."""


async def running_message(session: aiohttp.ClientSession, within: float = 2.0) -> Any:
    """The message that runs in the conversation used last, as the store has it, waited for."""
    async with asyncio.timeout(within):
        while (found := await _last_message(session)) is None or found["status"] != "running":  # noqa: ASYNC110  (as below)
            await asyncio.sleep(0.01)
    return found


async def stored_message(session: aiohttp.ClientSession, message_id: str, within: float = 5.0) -> Any:
    """The message once it is over, waited for."""
    async with asyncio.timeout(within):
        while (found := (await get(session, message_id))[1])["status"] == "running":  # noqa: ASYNC110  (no event is set)
            await asyncio.sleep(0.01)
    return found


async def get(session: aiohttp.ClientSession, message_id: str) -> Told:
    async with session.get(f"/v1/messages/{message_id}") as response:
        return response.status, await response.json()


async def cancel(session: aiohttp.ClientSession, message_id: str) -> Told:
    async with session.post(f"/v1/messages/{message_id}/cancel") as response:
        return response.status, await response.json()


async def _last_message(session: aiohttp.ClientSession) -> Any:
    async with session.get("/v1/conversations?limit=1") as response:
        conversations = (await response.json())["data"]
    if not conversations:
        return None
    async with session.get(f"/v1/conversations/{conversations[0]['id']}/messages?limit=100") as response:
        return (await response.json())["data"][-1]
