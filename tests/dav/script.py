"""Conversations against a script: the answers are given beforehand, the requests are looked at afterwards."""

from typing import TypeVar

from busyd.dav.exchange import DavRequest, DavResponse, Operation

T = TypeVar("T")

HOST = "https://caldav.icloud.com"


def exchange(operation: Operation[T], *answers: DavResponse) -> tuple[T, list[DavRequest]]:
    """Run a conversation; its value and what it asked. Fails when it asks more or less than there are answers.

    An answer without a URL gets that of its request.
    """
    asked: list[DavRequest] = []
    try:
        asked.append(next(operation))
    except StopIteration as done:
        assert not answers, f"{len(answers)} answers left over"
        return done.value, asked
    for given, answer in enumerate(answers, start=1):
        url = answer.url or _absolute(asked[-1].target)
        try:
            request = operation.send(DavResponse(answer.status, url, answer.headers, answer.body))
        except StopIteration as done:
            assert given == len(answers), f"{len(answers) - given} answers left over"
            return done.value, asked
        asked.append(request)
    message = f"the conversation asks for more: {asked[-1].method} {asked[-1].target}"
    raise AssertionError(message)


def answer(status: int, body: str | bytes = b"", *, url: str = "", **headers: str) -> DavResponse:
    """An answer of the script; header names with `_` for `-`."""
    content = body.encode() if isinstance(body, str) else body
    return DavResponse(status, url, tuple((name.replace("_", "-"), value) for name, value in headers.items()), content)


def multistatus(*responses: str, token: str | None = None) -> DavResponse:
    """A 207 in iCloud's style: default namespaces, blank lines, the token last."""
    tail = f"<sync-token>{token}</sync-token>" if token is not None else ""
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    return answer(207, f'{head}\n<multistatus xmlns="DAV:">\n\n\n{"".join(responses)}\n\n{tail}</multistatus>\n')


def member(href: str, found: str = "", *, missing: str = "") -> str:
    """A response with a 200 propstat, and a 404 one where there is something missing."""
    lost = f"<propstat><prop>{missing}</prop><status>HTTP/1.1 404 Not Found</status></propstat>" if missing else ""
    return (
        f'\n <response xmlns="DAV:">\n  <href>{href}</href>\n  <propstat>\n\t<prop>{found}</prop>\n'
        f"<status>HTTP/1.1 200 OK</status></propstat>{lost}</response>\n"
    )


def etag(text: str) -> str:
    return f'<getetag xmlns="DAV:">"{text}"</getetag>'


def status(href: str, line: str) -> str:
    """A response with a status of its own, as for a vanished member."""
    return f"<response><href>{href}</href><status>{line}</status></response>"


def _absolute(target: str) -> str:
    return HOST + target if target.startswith("/") else target
