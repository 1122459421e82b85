"""
The endpoint in front of moto as a script: passes bytes on, both ways.

It is what is killed and paused. AWS forgets nothing when an endpoint goes away, and moto keeps all
in memory: so moto lives on. A request whose answer was lost may have been done, as with AWS.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress


async def pass_on(reader, writer):
    """Pass on what comes until one of the two goes away."""
    with suppress(ConnectionError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    writer.close()


async def serve(host, port, behind):
    async def connected(reader, writer):
        try:
            answers, requests = await asyncio.open_connection(host, behind)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pass_on(reader, requests), pass_on(answers, writer))

    server = await asyncio.start_server(connected, host, port)
    sys.stdout.write("serves\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
