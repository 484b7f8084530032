"""The part of `aiohttp.web` that busyd uses: the rest, for paths, files and WebSockets, would take a start 12 ms."""

from aiohttp.web_exceptions import HTTPException, HTTPRequestEntityTooLarge
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from aiohttp.web_server import Server

__all__ = ["BaseRequest", "HTTPException", "HTTPRequestEntityTooLarge", "Response", "Server", "StreamResponse"]
