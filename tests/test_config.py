"""Reading a configuration that is right: what every key means, and that texts stay what they are."""

import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from busyd.address import TcpAddress, UnixAddress
from busyd.availability.hours import AppointmentDefaults, Hours, Invite, SlotDefaults
from busyd.availability.policy import Rules
from busyd.config import Config, ConfigMissing, StoreConfig, Tls, find_config, find_file_faults, load_config
from busyd.config.digest import config_digest
from busyd.config.load import own_state
from busyd.config.parsers import parse_span
from busyd.connection import ICLOUD_URL, CalendarReference, Connection, ConnectionKind
from busyd.credentials import FromCommand, FromCredential, FromEnvironment, FromFile, Literal, Secret
from busyd.service.settings import endpoint_settings

EXAMPLES = sorted((Path(__file__).parent.parent / "config").glob("*.yaml"))
ANNA = "connections:\n  anna: {username: a@b.c, password: {credential: anna}}\n"
FEED = ANNA + "  days: {kind: ics, url: 'https://example.org/x.ics'}\n"


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return load_config(path, {"HOME": "/home/anna"})


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_loads_without_a_warning(tmp_path: Path, example: Path) -> None:
    copied = Path(shutil.copy(example, tmp_path))
    config = load_config(copied, {})
    assert config.warnings == ()
    assert config.connections
    assert config.profiles


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_has_a_digest_wherever_it_is_written(tmp_path: Path, example: Path) -> None:
    texts = ["# here\n", "# or there,\n# two lines below\n"]
    digests = set()
    for number, text in enumerate(texts):
        folder = tmp_path / str(number)
        folder.mkdir()
        written = folder / example.name
        written.write_text(text + example.read_text())
        written.chmod(0o600)
        digests.add(config_digest(load_config(written, {}), "UTC"))
    assert len(digests) == 1


ALIKE = "profiles:\n  anna: {conflicts: [anna/Home, anna/Work], calendars: {anna/Home: {tentative: free}}}\n  ben: {}\n"


@pytest.mark.parametrize(
    ("text", "is_same"),
    [
        (f"listen: 127.0.0.1:1\nlog: json\n{FEED}{ALIKE}", True),
        (f"{ALIKE}{FEED}", True),
        (f"{ANNA.replace('credential: anna', 'env: APPLE')}{FEED.removeprefix(ANNA)}{ALIKE}", True),
        (f"{FEED}{ALIKE}".replace("ben: {}", "ben: {rules: {tentative: tentative}, max_age: 15m}"), True),
        (f"{FEED}{ALIKE}".replace("[anna/Home, anna/Work]", "[anna/Work, anna/Home]"), True),
        (f"{FEED}{ALIKE}".replace("kind: ics,", "kind: ics, timeout: 20s,"), True),
        (f"{FEED}{ALIKE}".replace("kind: ics,", "kind: ics, poll: 20m,"), False),
        (f"{FEED}{ALIKE}".replace("ben: {}", "ben: {rules: {tentative: busy}}"), False),
        (f"{FEED}{ALIKE}".replace("ben: {}", "ben: {timezone: Europe/Paris}"), False),
        (f"{FEED}{ALIKE}".replace("ben: {}", "ben: {hours: {mon: ['09:00-12:00']}}"), False),
        (f"{FEED}{ALIKE}".replace("ben: {}", "bob: {}"), False),
        (f"{FEED}{ALIKE}".replace("tentative: free", "tentative: busy"), False),
        (f"{FEED}{ALIKE}".replace("x.ics", "y.ics"), False),
        (f"{FEED}{ALIKE}".replace("a@b.c", "b@b.c"), False),
        (f"time_zones: {{Home: Europe/Berlin}}\n{FEED}{ALIKE}", False),
    ],
)
def test_the_digest_of_a_configuration_is_of_what_answers_follow_from(tmp_path: Path, text: str, is_same: bool) -> None:
    digests = {config_digest(load(tmp_path, one), "UTC") for one in (f"{FEED}{ALIKE}", text)}
    assert len(digests) == (1 if is_same else 2)


def test_the_zone_of_the_machine_counts_where_a_profile_names_none(tmp_path: Path) -> None:
    for text, is_same in (
        (f"{ANNA}profiles:\n  ben: {{}}\n", False),
        (f"{ANNA}profiles:\n  ben: {{timezone: UTC}}\n", True),
    ):
        config = load(tmp_path, text)
        assert (config_digest(config, "UTC") == config_digest(config, "Europe/Berlin")) is is_same


def test_there_are_examples() -> None:
    assert {path.name for path in EXAMPLES} >= {"minimal.yaml", "full.yaml", "team.yaml", "several.yaml"}


def test_the_least_configuration_has_the_defaults_of_the_contract(tmp_path: Path) -> None:
    config = load(tmp_path, ANNA + "profiles:\n  anna: {primary: anna/Work}\n")
    assert config.listen == (TcpAddress("127.0.0.1", 8377),)
    assert (config.tls, config.behind_proxy, config.local_access, config.cors, config.state) == (
        None,
        False,
        "freebusy",
        (),
        None,
    )
    anna = config.connections["anna"]
    assert anna.connection == Connection("anna", ConnectionKind.ICLOUD, ICLOUD_URL, "a@b.c", timedelta(seconds=60))
    assert anna.password == FromCredential("anna")
    profile = config.profiles["anna"]
    assert (profile.timezone, profile.primary_blocks, profile.hours) == (None, True, None)
    assert profile.rules == Rules()
    assert profile.slots == SlotDefaults()
    assert profile.max_age == timedelta(minutes=15)


def test_every_kind_of_connection_is_read(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "connections:\n"
        "  team: {kind: caldav, url: 'http://127.0.0.1:5232/', username: team, password: {env: PW}, poll: 5s}\n"
        "  open: {kind: caldav, url: 'https://dav.example.org/'}\n"
        "  days: {kind: ics, url: 'webcal://example.org/x.ics', poll: 6h, allow_private: true}\n"
        "  sim: {url: 'http://127.0.0.1:8008/', username: a, password: {file: /x}}\n",
    )
    found = {name: one.connection for name, one in config.connections.items()}
    assert found["team"].poll == timedelta(seconds=5)
    assert found["open"].username == ""
    assert config.connections["open"].password is None
    assert found["days"] == Connection(
        "days", ConnectionKind.ICS, "webcal://example.org/x.ics", poll=timedelta(hours=6), allow_private=True
    )
    assert (found["sim"].kind, found["sim"].url) == (ConnectionKind.ICLOUD, "http://127.0.0.1:8008/")


@pytest.mark.parametrize(
    ("written", "source"),
    [
        ("{credential: anna-2}", FromCredential("anna-2")),
        ("{env: APPLE_PW}", FromEnvironment("APPLE_PW")),
        ("{file: /run/secret}", FromFile(Path("/run/secret"))),
        ("{file: ~/secret}", FromFile(Path("/home/anna/secret"))),
        ("{command: [pass, show, 'icloud/a b']}", FromCommand(("pass", "show", "icloud/a b"))),
    ],
)
def test_a_password_comes_from_where_it_is_said_to_be(tmp_path: Path, written: str, source: object) -> None:
    config = load(tmp_path, f"connections:\n  anna: {{username: a, password: {written}}}\n")
    assert config.connections["anna"].password == source


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///busyd?host=/run/postgresql&user=busyd",
        "postgresql://busyd@localhost/busyd",
        "postgres://busyd@[::1]:5433/busyd",
        "postgresql://busyd@/busyd?host=::1&port=5433",
        "postgresql://%2Frun%2Fpostgresql/busyd",
        "postgresql://a@db.example.org/b?sslmode=verify-full&sslrootcert=ca.pem&sslcert=a.pem&sslkey=a.key",
        "postgresql://a@db1.example.org,db2.example.org:5433/b?sslmode=verify-full&target_session_attrs=read-write",
    ],
)
def test_a_store_is_a_database_here_or_one_whose_certificate_is_verified(tmp_path: Path, url: str) -> None:
    assert load(tmp_path, ANNA + f"store: {url}\n").store == StoreConfig(url)
    with_password = load(tmp_path, ANNA + f"store: {{url: '{url}', password: {{file: pw}}}}\n")
    assert with_password.store == StoreConfig(url, FromFile(tmp_path / "pw"))


def test_relative_paths_count_from_the_file_in_which_they_stand(tmp_path: Path) -> None:
    (tmp_path / "config.d").mkdir()
    (tmp_path / "config.d" / "1.yaml").write_text("connections:\n  anna: {username: a, password: {file: pw}}\n")
    config = load(tmp_path, "state: var\nlisten: unix:run/busyd.sock\n")
    assert config.state == tmp_path / "var"
    assert config.listen == (UnixAddress(tmp_path / "run/busyd.sock"),)
    assert config.connections["anna"].password == FromFile(tmp_path / "config.d" / "pw")


# What YAML 1.1 would have made of it in the second column: none of it may happen.
TRAPS = [
    ("0123", "83"),
    ("no", "False"),
    ("YES", "True"),
    ("12:30", "750"),
    ("12:30:45", "45045"),
    ("1_000", "1000"),
    ("0x1F", "31"),
    ("0b11", "3"),
    ("1e3", "1000.0"),
    ("1.10", "1.1"),
    (".inf", "inf"),
    ("null", "None"),
    ("~", "None"),
    ("2026-11-23", "a date"),
    ("2026-11-23 10:00:00", "a time"),
    ("=", "a value"),
    ("a#b", "a#b"),
    ("it's", "it's"),
    ('say"', 'say"'),
    ("back\\slash\\n", "a newline"),
    ("'0123'", "0123"),
    ('"no"', "no"),
    ("'it''s'", "it's"),
    ('"a\\tb"', "a tab"),
    ("pass word  two", "pass word  two"),
    ("pässwört€🗝", "pässwört€🗝"),
    ("$HOME", "expansion"),
]
QUOTED = {"'0123'": "0123", '"no"': "no", "'it''s'": "it's", '"a\\tb"': "a\tb"}


@pytest.mark.parametrize("written", [written for written, _ in TRAPS])
def test_a_password_is_the_text_that_was_written(tmp_path: Path, written: str) -> None:
    config = load(tmp_path, f"connections:\n  anna:\n    username: a\n    password: {written}\n")
    expected = QUOTED.get(written, written)
    assert config.connections["anna"].password == Literal(Secret(expected))


@pytest.mark.parametrize("written", ["0123", "no", "12:30", "1e3", "2026-11-23"])
def test_other_values_and_keys_stay_text_too(tmp_path: Path, written: str) -> None:
    config = load(
        tmp_path,
        f"connections:\n  a: {{username: b, password: {{command: [{written}]}}}}\n"
        f"profiles:\n  p: {{primary: a/{written}}}\n",
    )
    assert config.connections["a"].password == FromCommand((written,))
    assert config.profiles["p"].primary == CalendarReference("a", written)


def test_a_connection_may_be_called_no_or_0123(tmp_path: Path) -> None:
    text = "connections:\n  no: {username: a, password: {env: X}}\n  0123: {kind: ics, url: 'https://x/'}\n"
    assert list(load(tmp_path, text).connections) == ["no", "0123"]


def test_a_plain_password_in_a_private_file_is_taken_with_a_warning(tmp_path: Path) -> None:
    config = load(tmp_path, "connections:\n  anna: {username: a, password: abcd-efgh-ijkl-mnop}\n")
    assert [warning.partition(":2:33: ")[2] for warning in config.warnings] == [
        "the password is stored in plain text; `busyd credential set` would encrypt it"
    ]


def test_an_ordinary_password_for_icloud_is_warned_of_without_showing_it(tmp_path: Path) -> None:
    config = load(tmp_path, "connections:\n  anna: {username: a, password: hunter2}\n")
    assert len(config.warnings) == 2
    assert "does not look like an app-specific password" in config.warnings[1]
    assert "hunter2" not in "".join(config.warnings)


def test_a_caldav_password_over_plain_http_to_another_machine_is_warned_of(tmp_path: Path) -> None:
    text = "connections:\n  nas: {kind: caldav, url: 'http://%s/', username: a, password: {env: X}}\n"
    assert "unencrypted" in load(tmp_path, text % "nas.local").warnings[0]
    assert load(tmp_path, text % "[::1]:5232").warnings == ()


def test_calendars_are_named_in_every_way(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        FEED + "profiles:\n  anna:\n    primary: anna/Work & Play\n"
        "    conflicts: [anna/*, anna//1234/calendars/home/, days, days/days, days/*, anna/a/b]\n",
    )
    profile = config.profiles["anna"]
    assert profile.primary == CalendarReference("anna", "Work & Play")
    assert profile.conflicts == tuple(
        CalendarReference(*pair)
        for pair in (("anna", "*"), ("anna", "/1234/calendars/home/"), ("days", ""), ("anna", "a/b"))
    )
    assert len(config.warnings) == 2


def test_one_conflict_or_address_need_not_be_a_list(tmp_path: Path) -> None:
    profile = load(tmp_path, FEED + "profiles:\n  anna: {conflicts: days, addresses: mailto:a@b.c}\n").profiles["anna"]
    assert profile.conflicts == (CalendarReference("days", ""),)
    assert profile.addresses == ("mailto:a@b.c",)


def test_rules_are_merged_per_calendar_and_remember_their_lines(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        FEED + "profiles:\n  anna:\n    conflicts: [anna/Home, days]\n    rules:\n      tentative: busy\n"
        "      travel_time: no\n    calendars:\n      anna/Home: {all_day: free, tentative: free}\n      days:\n",
    )
    profile, file = config.profiles["anna"], tmp_path / "config.yaml"
    lines = {"tentative": f"{file}:8", "travel_time": f"{file}:9"}
    assert profile.rules == Rules(tentative="busy", travel_time=False, origin=lines)
    lines = {"tentative": f"{file}:11", "travel_time": f"{file}:9", "all_day": f"{file}:11"}
    home = profile.calendar_rules[CalendarReference("anna", "Home")]
    assert home == Rules(all_day="free", tentative="free", travel_time=False, origin=lines)
    assert profile.calendar_rules[CalendarReference("days", "")] == profile.rules


def test_a_calendar_may_have_a_max_age_of_its_own(tmp_path: Path) -> None:
    calendars = "{days: {max_age: 18h, all_day: free}, anna/Home: {tentative: busy}}"
    text = f"profiles:\n  anna: {{conflicts: [anna/Home, days], calendars: {calendars}}}\n"
    profile = load(tmp_path, FEED + text).profiles["anna"]
    assert profile.calendar_max_age == {CalendarReference("days", ""): timedelta(hours=18)}
    assert profile.calendar_rules[CalendarReference("days", "")].all_day == "free"
    assert profile.max_age == timedelta(minutes=15)


def test_hours_by_weekday_and_by_date(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "profiles:\n  anna:\n    hours:\n      mon-wed,Friday: ['13:00-17:00', 9:00 - 12:00]\n      sun: 00:00-24:00\n"
        "      2026-12-24: []\n      2026-12-31: 10:00-12:00\n",
    )
    day = ((540, 720), (780, 1020))
    assert config.profiles["anna"].hours == Hours(
        (day, day, day, (), day, (), ((0, 1440),)), {date(2026, 12, 24): (), date(2026, 12, 31): ((600, 720),)}
    )


def test_a_week_may_wrap_around(tmp_path: Path) -> None:
    hours = load(tmp_path, "profiles:\n  anna: {hours: {sat-mon: 9:00-10:00}}\n").profiles["anna"].hours
    assert hours is not None
    assert [bool(spans) for spans in hours.weekdays] == [True, False, False, False, False, True, True]


def test_slots_take_what_is_written_and_keep_the_rest(tmp_path: Path) -> None:
    text = "profiles:\n  anna: {slots: {duration: 1h30m, notice: 0m, buffer_after: 90s}, max_age: 2d}\n"
    profile = load(tmp_path, text).profiles["anna"]
    assert profile.slots == SlotDefaults(
        duration=timedelta(minutes=90), notice=timedelta(0), buffer_after=timedelta(seconds=90)
    )
    assert profile.max_age == timedelta(days=2)


def test_slots_have_no_limits_unless_they_are_written(tmp_path: Path) -> None:
    text = "profiles:\n  anna: {slots: {window: 60d, per_day: 6, per_week: 20}}\n  ben: {}\n"
    profiles = load(tmp_path, text).profiles
    anna, ben = profiles["anna"].slots, profiles["ben"].slots
    assert (anna.window, anna.per_day, anna.per_week) == (timedelta(days=60), 6, 20)
    assert (ben.window, ben.per_day, ben.per_week) == (None, None, None)


def test_appointments_invite_nobody_and_remind_nobody_unless_that_is_written(tmp_path: Path) -> None:
    text = (
        "profiles:\n  anna: {appointments: {invite: server, reminders: [1d, 15m, 0m]}}\n"
        "  ben: {appointments: {reminders: 15m}}\n  carl: {appointments: {reminders: []}}\n"
    )
    profiles = load(tmp_path, text).profiles
    assert profiles["anna"].appointments == AppointmentDefaults(
        Invite.SERVER, (timedelta(days=1), timedelta(minutes=15), timedelta(0))
    )
    assert profiles["ben"].appointments == AppointmentDefaults(Invite.NONE, (timedelta(minutes=15),))
    assert profiles["carl"].appointments == AppointmentDefaults()


@pytest.mark.parametrize(
    ("written", "listen"),
    [
        ("localhost:80", TcpAddress("localhost", 80)),
        ("'[::1]:80'", TcpAddress("::1", 80)),
        ("127.8.9.1:0", TcpAddress("127.8.9.1", 0)),
        ("0.0.0.0:80", TcpAddress("0.0.0.0", 80)),
        ("busy.lan:80", TcpAddress("busy.lan", 80)),
        ("unix:/run/x", UnixAddress(Path("/run/x"))),
    ],
)
def test_addresses_to_listen_to(tmp_path: Path, written: str, listen: object) -> None:
    found = load(tmp_path, f"listen: [{written}]\nbehind_proxy: true\n").listen
    assert found == (listen,)
    assert str(found[0]) == written.strip("'")


def test_where_the_primary_is_kept_from_blocking_is_remembered(tmp_path: Path) -> None:
    text = "profiles:\n  anna:\n    primary: anna/Work\n    primary_blocks: false\n  ben: {primary: anna/Home}\n"
    config = load(tmp_path, f"{ANNA}{text}")
    line = f"{ANNA}{text}".splitlines().index("    primary_blocks: false") + 1
    profile = config.profiles["anna"]
    assert (profile.primary_blocks, profile.primary_blocks_origin) == (False, f"{tmp_path}/config.yaml:{line}")
    assert config.profiles["ben"].primary_blocks_origin == ""


def test_the_public_address_is_a_host_too(tmp_path: Path) -> None:
    config = load(tmp_path, "public_url: https://Busy.Example.ORG:8443/\nhosts: [other.example]\n")
    assert config.public_url == "https://busy.example.org:8443"
    assert endpoint_settings(config).hosts == ("other.example", "busy.example.org")


def test_tls_hosts_origins_and_access(tmp_path: Path) -> None:
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).write_text("")
    config = load(
        tmp_path,
        "listen: 0.0.0.0:443\ntls: {cert: c.pem, key: k.pem}\nhosts: Busy.Example.ORG\nlocal_access: none\n"
        "cors: ['https://Example.org', 'http://localhost:3000/']\n",
    )
    assert config.tls == Tls(tmp_path / "c.pem", tmp_path / "k.pem")
    assert (config.hosts, config.local_access) == (("busy.example.org",), "none")
    assert config.cors == ("https://example.org", "http://localhost:3000")


def test_names_of_time_zones_that_nobody_knows(tmp_path: Path) -> None:
    config = load(tmp_path, 'time_zones: {"Kerio City": Europe/Prague, " Büro ": Asia/Tokyo}\n')
    assert config.time_zones == {"kerio city": "Europe/Prague", "büro": "Asia/Tokyo"}
    config = load(tmp_path, "time_zones: {europe/Berlin: Asia/Tokyo}\n")
    assert any("is an IANA time zone itself, so this has no effect" in warning for warning in config.warnings)


def test_files_of_config_d_are_merged_in_order_of_name(tmp_path: Path) -> None:
    extra = tmp_path / "config.d"
    extra.mkdir()
    (extra / "20-ben.yaml").write_text("profiles:\n  ben: {primary: ben/Work}\n")
    (extra / "10-ben.yaml").write_text("connections:\n  ben: {username: b, password: {env: B}}\n")
    (extra / "anna.yaml").write_text("profiles:\n  anna:\n    rules: {declined: busy}\n")
    (extra / "note.txt").write_text("not: [read")
    (extra / ".hidden.yaml").write_text("not: [read")
    config = load(tmp_path, ANNA + "profiles:\n  anna: {primary: anna/Work}\n")
    assert list(config.connections) == ["anna", "ben"]
    assert config.profiles["anna"].rules.origin == {"declined": f"{extra}/anna.yaml:3"}
    assert [path.name for path in config.files] == ["config.yaml", "10-ben.yaml", "20-ben.yaml", "anna.yaml"]


def test_a_section_may_be_empty_and_filled_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "config.d").mkdir()
    (tmp_path / "config.d" / "a.yaml").write_text(ANNA)
    assert list(load(tmp_path, "connections:\nprofiles:\n").connections) == ["anna"]


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"\xef\xbb\xbf" + ANNA.replace("\n", "\r\n").encode())
    assert list(load_config(tmp_path / "config.yaml", {}).connections) == ["anna"]


@pytest.mark.parametrize("keys", ["timezone: UTC", "conflicts: []"])
def test_a_profile_without_calendars_is_taken_with_a_warning(tmp_path: Path, keys: str) -> None:
    (warning,) = load(tmp_path, ANNA + f"profiles:\n  anna: {{{keys}}}\n").warnings
    assert "has no calendars, so none of its time is known to be free; add 'primary' and 'conflicts'" in warning


def test_a_profile_whose_only_calendar_does_not_block_is_taken_with_a_warning(tmp_path: Path) -> None:
    profile = "profiles:\n  anna: {primary: anna/Work, primary_blocks: false}\n"
    (warning,) = load(tmp_path, ANNA + profile).warnings
    assert "has no calendar that blocks" in warning
    assert "add 'conflicts'" in warning


# Where it is


def test_the_configuration_is_looked_for_in_the_order_of_the_contract(tmp_path: Path) -> None:
    home, xdg = tmp_path / "home", tmp_path / "xdg"
    environment = {"HOME": str(home), "XDG_CONFIG_HOME": str(xdg), "BUSYD_CONFIG": "/named"}
    assert find_config(Path("/explicit"), environment) == Path("/explicit")
    assert find_config(None, environment) == Path("/named")
    for folder in (home / ".config", xdg):
        (folder / "busyd").mkdir(parents=True)
        (folder / "busyd" / "config.yaml").write_text("")
    assert find_config(None, {**environment, "BUSYD_CONFIG": ""}) == xdg / "busyd" / "config.yaml"
    assert find_config(None, {"HOME": str(home)}) == home / ".config" / "busyd" / "config.yaml"
    assert find_config(None, {"HOME": str(home), "XDG_CONFIG_HOME": "relative"}).is_relative_to(home)


def test_no_configuration_anywhere_is_told_with_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("busyd.config.load.SYSTEM_CONFIG", tmp_path / "etc.yaml")
    with pytest.raises(ConfigMissing, match=f"{tmp_path}/.config/busyd/config.yaml and {tmp_path}/etc.yaml"):
        find_config(None, {"HOME": str(tmp_path)})


def test_what_systemd_passes_on_is_missing_only_when_the_service_runs(tmp_path: Path) -> None:
    path, passed_on = tmp_path / "config.yaml", Path("/run/credentials/busyd-test.service")
    path.write_text(f"tls: {{cert: {passed_on}/cert, key: {passed_on}/key}}\nconnections: {{}}\n")
    config = load_config(path, {})
    assert find_file_faults(config, made_at_start=[passed_on]) == []
    assert len(find_file_faults(config)) == 2


def test_a_users_own_state_is_below_their_home() -> None:
    assert own_state({"HOME": "/h", "XDG_STATE_HOME": "/x"}) == Path("/x/busyd")
    assert own_state({"HOME": "/h"}) == Path("/h/.local/state/busyd")
    with pytest.raises(ConfigMissing):
        own_state({})


# Values


def test_the_end_of_the_day_is_24_and_its_start_is_0() -> None:
    assert parse_span("00:00-24:00") == (0, 1440)
    with pytest.raises(ValueError, match="24:00"):
        parse_span("24:00-24:00")


def test_a_further_file_adds_to_lists_that_only_grow(tmp_path: Path) -> None:
    (tmp_path / "config.d").mkdir()
    (tmp_path / "config.d" / "a.yaml").write_text("hosts: b.example\nprofiles: {anna: {conflicts: [anna/Home]}}\n")
    config = load(tmp_path, ANNA + "hosts: [a.example]\nprofiles: {anna: {conflicts: [anna/Work]}}\n")
    assert config.hosts == ("a.example", "b.example")
    assert [str(one) for one in config.profiles["anna"].conflicts] == ["anna/Work", "anna/Home"]
