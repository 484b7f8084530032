"""busyd behind the proxies of the README: what they pass on is answered, and nobody gets in without a token."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.journey.daemon import Busyd, wait_for
from tests.ports import free_port
from tests.test_readme_proxies import TEMPORARY, snippet, tool

HOST = "busy.example.org"
CONFIGURATION = f"""\
behind_proxy: true
public_url: https://{HOST}
connections:
  holidays: {{kind: ics, url: "http://127.0.0.1:9/none.ics"}}
profiles:
  anna: {{timezone: Europe/Berlin, conflicts: [holidays]}}
"""


@contextmanager
def caddy(folder: Path, *, port: int, daemon: int) -> Iterator[None]:
    """Without TLS, for which it would ask an authority."""
    text = snippet("Caddy").replace(f"{HOST} {{", f"http://{HOST}:{port} {{").replace("8377", str(daemon))
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{text}")
    with _running(folder, [tool("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]):
        yield


@contextmanager
def nginx(folder: Path, *, port: int, daemon: int) -> Iterator[None]:
    folders = "".join(f"{name}_temp_path {folder}/{name}; " for name in TEMPORARY)
    text = snippet("nginx").replace("8377", str(daemon))
    (folder / "nginx.conf").write_text(
        f"daemon off; error_log {folder}/error.log; pid {folder}/pid; events {{}}\n"
        f"http {{ access_log off; {folders} server {{ listen 127.0.0.1:{port};\n{text}\n}} }}\n"
    )
    with _running(folder, [tool("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]):
        yield


@contextmanager
def _running(folder: Path, command: list[str]) -> Iterator[None]:
    with (folder / "proxy.log").open("w") as log:
        process = subprocess.Popen(command, env={"HOME": str(folder)}, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def ask(port: int, path: str, token: str = "") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": HOST})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


@pytest.mark.parametrize("proxy", [caddy, nginx])
def test_a_proxy_of_the_readme_passes_on_what_has_a_token_and_nothing_else(
    proxy: Callable[..., AbstractContextManager[None]], busyd: Busyd, tmp_path: Path
) -> None:
    busyd.configure(CONFIGURATION)
    busyd.start()
    made = json.loads(busyd.command("token", "add", "anna", "--json").stdout)
    port = free_port()
    with proxy(tmp_path, port=port, daemon=busyd.port):
        wait_for(lambda: ask(port, "/healthz")[0] == 200, describe=(tmp_path / "proxy.log").read_text)
        assert ask(port, "/v1/profiles")[0] == 401
        status, text = ask(port, "/v1/profiles", made["token"])
        assert (status, "anna" in text) == (200, True)
        assert "BEGIN:VCALENDAR" in ask(port, made["feed"])[1]
    assert ask(busyd.port, "/v1/profiles")[0] == 401, "from the machine itself, too"
