"""An assistant: the official client of the Model Context Protocol, with `busyd mcp` as its process."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, TextContent

from tests.journey.daemon import Busyd


@dataclass
class Assistant:
    """Calls tools, and remembers everything it was told."""

    client: Client
    heard: list[str] = field(default_factory=list)

    async def call(self, tool: str, **arguments: Any) -> Any:
        """The structured answer; the text of a refusal is an AssertionError."""
        result = await self.try_call(tool, **arguments)
        assert not result.is_error, self.heard[-1]
        assert isinstance(result.structured_content, dict)
        return result.structured_content

    async def refusal(self, tool: str, **arguments: Any) -> str:
        """The text of an error."""
        result = await self.try_call(tool, **arguments)
        assert result.is_error, result
        return "".join(part.text for part in result.content if isinstance(part, TextContent))

    async def try_call(self, tool: str, **arguments: Any) -> CallToolResult:
        result = await self.client.call_tool(tool, arguments)
        self.heard.append(json.dumps(result.model_dump(mode="json"), ensure_ascii=False))
        return result


@asynccontextmanager
async def assistant(busyd: Busyd, token: str, *options: str) -> AsyncIterator[Assistant]:
    """An assistant that has started `busyd mcp` with these options."""
    line = ["-m", "busyd", "--config", str(busyd.config), "--state", str(busyd.state), "mcp", *options]
    environment = {"BUSYD_TOKEN": token, "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1"}
    async with Client(StdioServerParameters(command=sys.executable, args=line, env=environment)) as client:
        yield Assistant(client)


def make_token(busyd: Busyd, *scopes: str, profile: str = "anna") -> str:
    made = busyd.command("token", "add", profile, "--scope", ",".join(scopes), "--json")
    return str(json.loads(made.stdout)["token"])
