"""The snippets for proxies in the README are what those proxies take."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.skips import skip

README = (Path(__file__).parents[1] / "README.md").read_text()
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def snippet(first: str) -> str:
    """The block that begins with this comment."""
    found = re.search(rf"^```\n(# {first}.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert found is not None, f"the README has no snippet that begins with '# {first}'"
    return found[1]


def tool(name: str) -> str:
    """Where a proxy is installed; skips where it is not."""
    return shutil.which(name, path="/usr/local/sbin:/usr/sbin:/usr/bin") or shutil.which(name) or skip(f"no {name}")


def test_caddy_takes_itssnippet(tmp_path: Path) -> None:
    file = tmp_path / "Caddyfile"
    file.write_text(snippet("Caddy"))
    command = [tool("caddy"), "adapt", "--config", str(file), "--adapter", "caddyfile"]
    done = subprocess.run(command, env={"HOME": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "127.0.0.1:8377" in done.stdout


def test_nginx_takes_itssnippet(tmp_path: Path) -> None:
    folders = "".join(f"{name}_temp_path {tmp_path}/{name}; " for name in TEMPORARY)
    server = f"server {{ listen 127.0.0.1:18443;\n{snippet('nginx')}\n}}"
    file = tmp_path / "nginx.conf"
    file.write_text(
        f"error_log {tmp_path}/error.log; pid {tmp_path}/pid; events {{}}\n"
        f"http {{ access_log off; {folders}{server} }}\n"
    )
    command = [tool("nginx"), "-t", "-p", str(tmp_path), "-c", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
