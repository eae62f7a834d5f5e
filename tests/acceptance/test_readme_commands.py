"""The README's commands as a stranger uses them: pasted one after another into one shell while `make run` runs."""

import asyncio
import os
import re
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.support.command import Command

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
SH = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "127.0.0.1:8080"

CURLRC = r"""
silent
show-error
fail-with-body
write-out = "%{stderr}<%{http_code}>\n"
"""
"""Found through `CURL_HOME`: a refusal fails the command, and every status is told."""


def commands() -> str:
    return "".join(block for block in SH.findall(README) if not block.startswith("make"))


async def test_the_commands_shown_work_as_shown(tmp_path: Path) -> None:
    (tmp_path / ".curlrc").write_text(CURLRC)
    shutil.copy(ROOT / "LICENSE", tmp_path)
    async with Command(ROOT / "config" / "demo.toml") as gateway:
        shell = await asyncio.create_subprocess_exec(
            *("bash", "-e", "-o", "pipefail", "-c", commands().replace(ADDRESS, f"127.0.0.1:{gateway.port}")),
            cwd=tmp_path,
            env={**os.environ, "CURL_HOME": str(tmp_path)},
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            async with asyncio.timeout(60):
                out, told = (said.decode() for said in await shell.communicate())
        finally:
            if shell.returncode is None:
                shell.kill()
                await shell.wait()
    assert shell.returncode == 0, out + told
    asked = len(re.findall(r"\bcurl ", commands()))
    assert (len(re.findall(r"<2\d\d>", told)), asked) == (asked, len(told.splitlines()))
    assert (out.count("event: message.completed"), out.count("event: message.failed")) == (8, 0)
    assert '"rows":[[620,"north"],[310,"south"]]' in out
    assert '"copies":{"sema4":"deleted"}' in out
    assert '"copies":{"chatbase":"kept"}' in out
    assert (tmp_path / "sales.parquet").read_bytes().startswith(b"PAR1")


def test_every_path_of_the_api_is_used_in_a_command() -> None:
    told = README.split("| request | answer |\n| --- | --- |\n")[1].split("\n\n")[0]
    paths = set(re.findall(r"\| `\w+ /v1(/[\w{}/-]+)` \|", told))
    script = commands().replace("$api", "/v1")
    for name in ("conversation", "file", "message"):
        script = script.replace(f"${name}", f"{{{name}_id}}")
    asked = re.findall(r"""(?:[ "]|8080)/v1(/[\w{}/-]+)""", script.replace("data-frames/sales", "data-frames/{name}"))
    assert paths == set(asked)
