import subprocess
import sys

PROGRAM = """
import sys
from busyd.http.aiohttp_package import import_server_alone, import_with_client
import_server_alone()
import busyd.http.app
assert "aiohttp.connector" not in sys.modules
module = import_with_client("busyd.remote.transport")
assert module.aiohttp.ClientSession and module.aiohttp.__version__
import_with_client("busyd.remote.transport")
"""


def test_the_server_is_imported_without_the_client_of_aiohttp_and_the_client_later() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)


def test_an_aiohttp_that_is_already_imported_stays_as_it_is() -> None:
    subprocess.run([sys.executable, "-c", f"import aiohttp\n{PROGRAM.replace('not in', 'in')}"], check=True)
