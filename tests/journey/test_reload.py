"""Reloading, by command and by signal, and finding the running daemon by what it recorded itself."""

import http.client
import json
import signal
import socket
import ssl
from contextlib import closing
from pathlib import Path

from tests.http.test_listeners import self_signed
from tests.icloud.accounts import Account
from tests.icloud.server import SimulatedIcloud
from tests.journey.conftest import PASSWORD, Told
from tests.journey.daemon import Busyd, wait_for
from tests.ports import free_port


def test_a_reload_applies_a_changed_file_without_a_gap_and_tells_what_changed(managed: Busyd, told: Told) -> None:
    managed.start()
    managed.until_busy("2026-06-01", "2026-06-02", expected=[])
    managed.change("[anna/Work]", "[anna/Work, anna/Home]")
    ran = managed.command("reload")
    assert (ran.returncode, ran.stdout) == (0, "applied:\n  profile anna: conflicts\n")
    told("RELOADING=1")
    told("READY=1")
    assert len(managed.freebusy("2026-06-01", "2026-06-02")["calendars"]) == 2
    managed.until_busy("2026-06-01", "2026-06-02", expected=[])
    assert managed.command("reload").stdout == "applied: nothing changed\n"


def test_a_refused_reload_tells_every_fault_and_the_old_configuration_stays(managed: Busyd, told: Told) -> None:
    managed.start()
    managed.until_busy("2026-06-01", "2026-06-02", expected=[])
    managed.change("conflicts", "conflict")
    managed.change("kind: icloud", "kind: cloud")
    ran = managed.command("reload")
    assert (ran.returncode, ran.stdout) == (78, "")
    assert len([line for line in ran.stderr.splitlines() if line.startswith(f"{managed.config}:")]) == 2
    assert ran.stderr.endswith("busyd: refused because of 2 errors; the old configuration stays in effect\n")
    told("RELOADING=1")
    ready = told("READY=1")
    assert f"STATUS=reload refused, the old configuration stays: {managed.config}:4:16: " in ready
    assert "(and 1 more); 1 profiles" in ready
    assert managed.freebusy("2026-06-01", "2026-06-02")["complete"]


def test_a_reload_that_names_an_unset_variable_is_refused_where_it_is_written(busyd: Busyd) -> None:
    busyd.start()
    busyd.until_busy("2026-06-01", "2026-06-02", expected=[])
    busyd.change("{env: APPLE}", "{env: APPEL}")
    ran = busyd.command("reload")
    assert ran.returncode == 78
    assert f"{busyd.config}:4:" in ran.stderr
    assert "password: the environment variable APPEL is not set for the daemon" in ran.stderr
    assert "set it and restart busyd" in ran.stderr
    assert busyd.status()["connections"][0]["state"] == "ok"


def test_a_changed_password_file_is_noticed_and_told_by_a_reload(busyd: Busyd, anna: Account) -> None:
    file = busyd.folder / "password"
    file.write_text(f"{PASSWORD}\n")
    file.chmod(0o600)
    busyd.change("{env: APPLE}", f'{{file: "{file}"}}')
    busyd.start()
    busyd.until_busy("2026-06-01", "2026-06-02", expected=[])
    file.write_text("wxyz-wxyz-wxyz-wxyz\n")
    anna.password = "wxyz-wxyz-wxyz-wxyz"
    ran = busyd.command("reload")
    assert (ran.returncode, ran.stdout) == (0, "applied:\n  connection anna: password\n")
    assert "anna: its password was changed, and the new one is used from now on" in busyd.log.read_text()
    assert busyd.command("sync", "--now").returncode == 0
    assert busyd.command("reload").stdout == "applied: nothing changed\n"
    file.unlink()
    ran = busyd.command("reload")
    assert ran.returncode == 1
    assert f"busyd: connection anna: cannot read the password from {file}: no such file" in ran.stderr


def test_a_reload_asked_for_by_signal_is_the_same_one(managed: Busyd, told: Told) -> None:
    managed.start()
    managed.until_busy("2026-06-01", "2026-06-02", expected=[])
    managed.change("conflicts", "conflict")
    assert managed.process is not None
    managed.process.send_signal(signal.SIGHUP)
    told("RELOADING=1")
    assert "reload refused" in told("READY=1")
    assert "did you mean" in managed.status()["configuration"]
    managed.change("conflict", "conflicts")
    managed.process.send_signal(signal.SIGHUP)
    told("RELOADING=1")
    assert "reload refused" not in told("READY=1")
    assert "configuration" not in managed.status()


def test_what_cannot_be_read_as_yaml_is_refused_too_and_status_works_beside_it(managed: Busyd, told: Told) -> None:
    managed.start()
    managed.until_busy("2026-06-01", "2026-06-02", expected=[])
    managed.config.write_text("connections: {anna: [\n")
    assert managed.command("reload").returncode == 78
    told("READY=1")
    ran = managed.command("status")
    assert ran.returncode == 0
    assert "anna/Work" in ran.stdout
    assert f"{managed.config} has errors; the daemon continues with the configuration it read before:" in ran.stderr
    assert f"\n{managed.config}:2:1: " in ran.stderr


def test_what_needs_a_restart_is_named_again_at_every_reload_until_there_was_one(busyd: Busyd) -> None:
    busyd.start()
    busyd.until_busy("2026-06-01", "2026-06-02", expected=[])
    busyd.change(f"listen: 127.0.0.1:{busyd.port}", f"listen: 0.0.0.0:{busyd.port}\nbehind_proxy: true")
    busyd.change("kind: icloud", "kind: icloud, poll: 30s")
    first, second = busyd.command("reload"), busyd.command("reload", "--json")
    assert (first.returncode, first.stdout) == (1, "applied:\n  connection anna: poll\n  behind_proxy\n")
    assert "a restart is needed for listen (the port is in use by the address it had)" in first.stderr
    answer = json.loads(second.stdout)
    assert (second.returncode, answer["outcome"], answer["changed"]) == (1, "restart-needed", [])
    busyd.stop()
    busyd.start(wait=False)
    wait_for(lambda: busyd.command("reload").stdout == "applied: nothing changed\n", describe=busyd.log.read_text)


def test_hosts_origins_and_local_access_count_at_once_on_open_connections_too(busyd: Busyd) -> None:
    busyd.start()
    with closing(http.client.HTTPConnection("127.0.0.1", busyd.port)) as client:

        def ask(**fields: str) -> http.client.HTTPResponse:
            client.request("GET", "/v1/profiles", headers=fields)
            answer = client.getresponse()
            answer.read()
            return answer

        assert ask(Host="busy.example").status == 421
        busyd.change("connections:", 'hosts: [busy.example]\ncors: ["https://booking.example"]\nconnections:')
        assert busyd.command("reload").stdout == "applied:\n  hosts\n  cors\n"
        assert ask(Host="busy.example").status == 200
        answer = ask(Origin="https://booking.example")
        assert answer.getheader("Access-Control-Allow-Origin") == "https://booking.example"
        busyd.change("hosts:", "local_access: none\nhosts:")
        assert busyd.command("reload").stdout == "applied:\n  local_access\n"
        assert ask().status == 401


def test_addresses_come_and_go_without_a_restart_and_one_that_is_taken_changes_nothing(busyd: Busyd) -> None:
    busyd.start()
    first, second = busyd.port, free_port()
    busyd.change(f"listen: 127.0.0.1:{first}", f"listen: [127.0.0.1:{first}, 127.0.0.1:{second}]")
    assert busyd.command("reload").stdout == "applied:\n  listen\n"
    assert busyd.status_of("/healthz") == 200
    busyd.port = second
    assert busyd.status_of("/healthz") == 200
    busyd.change(f"[127.0.0.1:{first}, 127.0.0.1:{second}]", f"127.0.0.1:{second}")
    assert busyd.command("reload").stdout == "applied:\n  listen\n"
    assert busyd.command("status").returncode == 0
    busyd.port = first
    assert busyd.status_of("/healthz") == 0
    busyd.port = second
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        busyd.change(f"listen: 127.0.0.1:{second}", f"listen: 127.0.0.1:{taken}")
        busyd.change("kind: icloud", "kind: icloud, poll: 30s")
        ran = busyd.command("reload")
    assert (ran.returncode, ran.stdout) == (78, "")
    assert f"{busyd.config}:1:9: cannot listen on 127.0.0.1:{taken}: address already in use" in ran.stderr
    assert busyd.status_of("/healthz") == 200


def test_a_certificate_is_put_on_and_changed_without_a_restart(busyd: Busyd, tmp_path: Path) -> None:
    def shown() -> str:
        return ssl.get_server_certificate(("127.0.0.1", busyd.port))

    certificate = self_signed(tmp_path)
    busyd.start()
    busyd.change("connections:", f"tls: {{cert: {certificate}, key: {certificate}}}\nconnections:")
    assert busyd.command("reload").stdout == "applied:\n  tls\n"
    before = shown()
    assert before in certificate.read_text()
    self_signed(tmp_path)
    assert busyd.command("reload").stdout == "applied:\n  tls (another certificate is in the file)\n"
    assert before != shown()
    assert shown() in certificate.read_text()
    busyd.change(f"tls: {{cert: {certificate}, key: {certificate}}}\n", "")
    assert busyd.command("reload").stdout == "applied:\n  tls\n"
    assert busyd.status_of("/healthz") == 200


def test_a_calendar_that_is_named_and_not_there_is_told_wherever_somebody_may_look(
    busyd: Busyd, icloud: SimulatedIcloud
) -> None:
    busyd.start()
    busyd.until_busy("2026-06-01", "2026-06-02", expected=[])
    busyd.change("[anna/Work]", "[anna/Wrok]")
    sentence = "profile anna: anna has no calendar 'Wrok', did you mean 'anna/Work'? it has: Home, Work"
    checked = busyd.command("check")
    assert checked.returncode == 78
    assert "'anna/Work'? it has: Home, Work (as the daemon knows it;" in checked.stderr
    assert f"{busyd.config}:6:22: conflicts: anna has no calendar 'Wrok'" in checked.stderr
    ran = busyd.command("reload")
    assert (ran.returncode, ran.stdout) == (1, "applied:\n  profile anna: conflicts\n")
    assert ran.stderr == f"busyd: {sentence}\n"
    assert busyd.command("reload").returncode == 1
    assert busyd.log.read_text().count(sentence) == 1  # once per change
    icloud.accounts["anna@icloud.com"].knobs.revoked = True
    busyd.command("sync", "--now")
    assert sentence in busyd.status()["warnings"]
    shown = busyd.command("status").stderr.splitlines()
    assert shown.count(sentence) == 1
    assert busyd.freebusy("2026-06-01", "2026-06-02")["complete"] is False
    (link,) = busyd.status()["profiles"][0]["calendars"]
    assert (link["state"], link["detail"]) == ("missing", sentence.removeprefix("profile anna: "))
    busyd.stop()
    assert busyd.command("check").returncode == 78  # the mirror of a daemon that was stopped knows it too
    busyd.change("[anna/Wrok]", "[anna/Work]")
    assert "valid" in busyd.command("check").stdout


def test_rules_for_a_calendar_that_is_not_there_are_told(busyd: Busyd) -> None:
    busyd.start()
    busyd.until_busy("2026-06-01", "2026-06-02", expected=[])
    busyd.change("[anna/Work]", "[anna/Work], calendars: {anna/Wokr: {all_day: busy}}")
    ran = busyd.command("reload")
    assert ran.returncode == 1
    assert "its rules under `calendars` for anna/Wokr do nothing: anna has no calendar 'Wokr', did you" in ran.stderr


def test_a_reload_with_another_file_than_the_daemons_is_refused_in_words(busyd: Busyd, tmp_path: Path) -> None:
    busyd.start()
    other = tmp_path / "other.yaml"
    other.write_text(busyd.config.read_text())
    for words in (["reload"], ["status"], ["token", "add", "anna"]):
        ran = busyd.command("--config", str(other), *words)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert f"was started with {busyd.config}, not with {other}" in ran.stderr


def test_a_running_daemon_is_found_by_its_state_alone_until_it_has_stopped(busyd: Busyd) -> None:
    busyd.start()
    record = busyd.state / "running.json"
    assert record.stat().st_mode & 0o777 == 0o600
    assert busyd.command_with_state("status").returncode == 0
    made = json.loads(busyd.command_with_state("token", "add", "anna", "--json").stdout)
    assert busyd.get("/v1/profiles", token=made["token"])["profiles"]
    busyd.stop()
    assert not record.exists()


def test_what_a_killed_daemon_leaves_behind_is_not_taken_for_a_running_one(busyd: Busyd) -> None:
    busyd.start()
    busyd.stop(how=signal.SIGKILL)
    assert (busyd.state / "running.json").exists()
    ran = busyd.command("reload")
    assert ran.returncode == 69
    assert "no daemon runs on" in ran.stderr
    assert busyd.command("token", "add", "anna").returncode == 0
