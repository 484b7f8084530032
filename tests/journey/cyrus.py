"""Cyrus, a CalDAV server from Debian, with a configuration and a spool of its own in a folder under /tmp."""

import os
import pwd
import shutil
import smtplib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.journey.daemon import wait_for
from tests.journey.servers import PASSWORD, USER, CaldavServer, make_calendar
from tests.ports import free_port
from tests.skips import skip

MASTER: Final = "/usr/sbin/cyrmaster"
ADD_USER: Final = "/usr/sbin/saslpasswd2"
PROGRAMS: Final = Path("/usr/lib/cyrus/bin")
NEEDED: Final = (MASTER, str(PROGRAMS / "httpd"), str(PROGRAMS / "lmtpd"), ADD_USER)
FOLDERS: Final = (
    "conf/db", "conf/user", "conf/proc", "conf/log", "conf/socket", "spool", "lock", "proc", "tmp", "sieve"
)  # fmt: skip
SETTINGS: Final = """
configdirectory: {folder}/conf
partition-default: {folder}/spool
defaultpartition: default
mboxname_lockpath: {folder}/lock
proc_path: {folder}/proc
temp_path: {folder}/tmp
sievedir: {folder}/sieve
cyrus_user: {user}
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {folder}/users
sasl_mech_list: PLAIN
allowplaintext: yes
httpmodules: caldav
caldav_create_default: no
unixhierarchysep: yes
autocreate_users: anyone
autocreate_quota: 0
autocreate_post: yes
"""
SERVICES: Final = """
START {{
  recover cmd="{programs}/ctl_cyrusdb -C {folder}/imapd.conf -r"
}}
SERVICES {{
  http cmd="{programs}/httpd -C {folder}/imapd.conf" listen="127.0.0.1:{port}" prefork=1 proto=tcp4
  lmtp cmd="{programs}/lmtpd -C {folder}/imapd.conf" listen="{folder}/lmtp" prefork=0
}}
EVENTS {{
}}
"""


@contextmanager
def cyrus(_: Path) -> Iterator[CaldavServer]:
    """Cyrus with one user and a calendar named Work."""
    if missing := [program for program in NEEDED if shutil.which(program) is None]:
        skip(f"Cyrus is not installed (cyrus-caldav, sasl2-bin): there is no {', '.join(missing)}")
    # It refuses to run as root, so it must be able to reach its files as its own user.
    with TemporaryDirectory(prefix="busyd-cyrus-") as folder:
        port = free_port()
        _prepare(Path(folder), port)
        command = [MASTER, "-D", "-C", f"{folder}/imapd.conf", "-M", f"{folder}/cyrus.conf", "-p", f"{folder}/pid"]
        silent = subprocess.DEVNULL
        # When it ends, it ends its whole process group.
        with subprocess.Popen(command, stdout=silent, stderr=silent, start_new_session=True) as master:
            try:
                wait_for(Path(folder, "lmtp").exists)
                _make_mailbox(Path(folder, "lmtp"))
                root = f"http://127.0.0.1:{port}/"
                server = CaldavServer(root, f"{root}dav/calendars/user/{USER}/work/")
                make_calendar(server)
                yield server
            finally:
                master.terminate()
                master.wait(timeout=10)


def _prepare(folder: Path, port: int) -> None:
    user = "cyrus" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    for name in FOLDERS:
        Path(folder, name).mkdir(parents=True)
    Path(folder, "imapd.conf").write_text(SETTINGS.format(folder=folder, user=user))
    Path(folder, "cyrus.conf").write_text(SERVICES.format(folder=folder, programs=PROGRAMS, port=port))
    subprocess.run([ADD_USER, "-p", "-c", "-f", f"{folder}/users", USER], input=PASSWORD, text=True, check=True)
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, user)


def _make_mailbox(socket: Path) -> None:
    """A user has no calendars before the first mail."""
    with smtplib.LMTP(str(socket)) as mail:
        mail.sendmail("tests@example.org", [USER], "Subject: Welcome\n\nWelcome.\n")
