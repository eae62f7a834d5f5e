"""The yardstick: aiohttp's server in front of aiohttp's client, which passes bytes on unread, one write per read.

python -m tests.benchmarks.passthrough http://127.0.0.1:PORT
"""

import sys

import aiohttp
from aiohttp import web

from tests.benchmarks.loops import announce, run


async def main(vendor: str) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def relay(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            async with session.post(vendor + request.path, data=body, headers=request.headers) as answer:
                response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
                await response.prepare(request)
                while data := await answer.content.readany():
                    await response.write(data)
            return response

        app = web.Application()
        app.router.add_post("/{path:.*}", relay)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await announce(runner.addresses[0][1])
        await runner.cleanup()


if __name__ == "__main__":
    run(main(sys.argv[1]))
