"""What busyd says to a configuration that is wrong: the place, the reason, and what was probably meant."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from busyd.config import ConfigFaults, load_config
from busyd.ownership import describe_user

ICLOUD = "connections:\n  anna: {username: a@b.c, password: {credential: anna}}\n"
FEED = ICLOUD + "  days: {kind: ics, url: 'https://example.org/x.ics'}\n"
CANNOT_HAVE = (
    "3:8: store: the address of the database cannot have {} behind its '?', only "
    "host, port, user, sslmode, sslrootcert, sslcert, sslkey, target_session_attrs"
)

# One faulty file and everything that is said about it, without the name of the file.
TABLE: dict[str, tuple[str, list[str]]] = {
    # The file as a whole
    "empty": ("", ["1:1: the file is empty; it needs at least 'connections' and 'profiles'"]),
    "only comments": ("# x\n---\n", ["1:1: the file is empty; it needs at least 'connections' and 'profiles'"]),
    "a text": ("hello", ["1:1: expected 'key: value' lines at the top, such as 'connections:' and 'profiles:'"]),
    "a list": ("- a\n", ["1:1: expected 'key: value' lines at the top, such as 'connections:' and 'profiles:'"]),
    "two documents": (ICLOUD + "---\nx: 1\n", ["4:1: a second document ('---') starts here; a file can hold only one"]),
    # The store
    "store of another kind": (
        ICLOUD + "store: mysql://db/busyd\n",
        [
            "3:8: store: expected the address of a PostgreSQL database, such as "
            "postgresql://busyd@db.example.org/busyd?sslmode=verify-full&sslrootcert=/etc/busyd/ca.pem"
        ],
    ),
    "store with a password": (
        ICLOUD + "store: postgresql://busyd:geheim@127.0.0.1/busyd\n",
        [
            "3:8: store: the address must not contain the password; "
            "write 'store: {url: …, password: {credential: NAME}}'"
        ],
    ),
    "store with a password behind": (
        ICLOUD + "store: postgresql:///busyd?password=geheim\n",
        [
            "3:8: store: the address must not contain the password; "
            "write 'store: {url: …, password: {credential: NAME}}'"
        ],
    ),
    "store far away in the open": (
        ICLOUD + "store: postgresql://busyd@127.0.0.1:5432,db.example.org:5432/busyd\n",
        [
            "3:8: store: a database on another machine needs a certificate that is verified: "
            "add ?sslmode=verify-full&sslrootcert=FILE"
        ],
    ),
    "store with an address beside its host": (
        ICLOUD + "store: postgresql://busyd@localhost/busyd?hostaddr=203.0.113.5\n",
        [CANNOT_HAVE.format("'hostaddr'")],
    ),
    "store of a service file": (ICLOUD + "store: postgresql:///busyd?service=far\n", [CANNOT_HAVE.format("'service'")]),
    "store with the password of a key": (
        ICLOUD + "store: postgresql://localhost/busyd?sslkey=k&sslpassword=geheim\n",
        [CANNOT_HAVE.format("'sslpassword'")],
    ),
    "store with what may be half a password": (
        ICLOUD + "store: postgresql://busyd:1/ge?heim@localhost/busyd\n",
        [CANNOT_HAVE.format("this")],
    ),
    **{
        f"store far away for libpq only: {address}": (
            ICLOUD + f"store: 'postgresql://{address}'\n",
            [
                "3:8: store: a database on another machine needs a certificate that is verified: "
                "add ?sslmode=verify-full&sslrootcert=FILE"
            ],
        )
        for address in (
            "localhost#@203.0.113.5/busyd",
            "localhost?user=busyd@203.0.113.5/busyd",
            "localhost/busyd?user=a#&host=203.0.113.5",
            "%2Frun%2Cdb.example.org/busyd",
            "localhost/busyd?host=/run%2Cdb.example.org",
            "localhost/busyd?sslmode=verify-full&sslmode=prefer&host=db.example.org",
        )
    },
    **{
        f"store whose address libpq would not take: {address}": (
            ICLOUD + f"store: 'postgresql://{address}'\n",
            [
                "3:8: store: expected the address of a PostgreSQL database, such as "
                "postgresql://busyd@db.example.org/busyd?sslmode=verify-full&sslrootcert=/etc/busyd/ca.pem"
            ],
        )
        for address in (
            "localhost:x/busyd",
            "localhost:99999/busyd",
            "localhost/busyd?port=99999",
            "localhost/busyd?port=one",
            "localhost/busyd?sslmode",
            "localhost/busyd?user=a=b",
        )
    },
    **{
        f"store whose address has a faulty character: {address}": (
            ICLOUD + f"store: 'postgresql://{address}'\n",
            ["3:8: store: a '%' in the address must be followed by two hexadecimal digits, as %20 stands for a space"],
        )
        for address in ("busyd%ZZ@/busyd", "busyd@/busyd%0", "x%00y@/busyd", "/two words")
    },
    "store without an address": (
        ICLOUD + "store: {password: {credential: db}}\n",
        [
            "3:1: store needs a url, such as "
            "postgresql://busyd@db.example.org/busyd?sslmode=verify-full&sslrootcert=/etc/busyd/ca.pem"
        ],
    ),
    "store with a password of its own": (
        ICLOUD + "store: {url: 'postgresql:///busyd', password: {env: PW}}\n",
        ["3:47: password of the store: use {credential: NAME} or {file: PATH}"],
    ),
    "store with another key": (
        ICLOUD + "store: {url: 'postgresql:///busyd', pasword: x}\n",
        ["3:37: unknown key 'pasword' in store, did you mean 'password'?"],
    ),
    # YAML
    "tab": ("connections:\n\tanna: {}\n", ["2:1: tab in the indentation; use spaces"]),
    "tab after blanks": ("connections:\n  \tanna: x\n", ["2:3: tab in the indentation; use spaces"]),
    "open quote": ("listen: 'abc\n", ["1:9: the quote opened here is never closed"]),
    "open bracket": ("listen: [a, b\nstate: x\n", ["2:6: a ',' or a closing bracket is missing"]),
    "open brace": ("tls: {cert: a\n", ["2:1: a ',' or a closing bracket is missing"]),
    "no colon": (
        "listen\nstate: x\n",
        ["2:6: unexpected ':'; check the indentation, or put the value in quotes"],
    ),
    "colon inside": (
        "state: a: b\n",
        ["1:9: unexpected ':'; check the indentation, or put the value in quotes"],
    ),
    "bad indentation": (
        "tls:\n    cert: a\n  key: b\n",
        ["3:3: this line does not match the previous ones; check the indentation"],
    ),
    "at sign": ("state: @x\n", ["1:8: a value cannot start with this character unless it is quoted"]),
    "home of another": (
        "state: ~ben/x\n",
        ["1:8: state: '~ben/x': only '~/' is supported; write the full path"],
    ),
    "percent": ("state: %x\n", ["1:8: a value cannot start with this character unless it is quoted"]),
    "escape": (
        'state: "C:\\q"\n',
        ["1:12: in double quotes, '\\' starts an escape sequence; use single quotes"],
    ),
    "alias": (
        "state: *x\n",
        ["1:8: '*' is a YAML alias, which busyd does not support; put the text in quotes"],
    ),
    "anchor": ("state: &x y\n", ["1:8: '&' is a YAML anchor, which busyd does not support; put the text in quotes"]),
    "tag": ("state: !!int 5\n", ["1:8: '!' is a YAML tag, which busyd does not support; put the text in quotes"]),
    "python tag": (
        "state: !!python/object/apply:os.system [ls]\n",
        [
            "1:8: '!' is a YAML tag, which busyd does not support; put the text in quotes",
            "1:8: state: expected one value, not a list",
        ],
    ),
    "merge key": (ICLOUD + "<<: {state: x}\n", ["3:1: '<<' is a YAML merge key, which busyd does not support"]),
    "list as key": ("? [a]\n: b\n", ["1:3: a key must be a single word"]),
    "same key twice": (
        "state: a\nstate: b\n",
        ["2:1: 'state' is set twice, first in line 1"],
    ),
    "same connection twice": (
        ICLOUD + "  anna: {kind: ics, url: 'https://x/'}\n",
        ["3:3: 'anna' is set twice, first in line 2"],
    ),
    "too deep": ("a: " + "[" * 30 + "]" * 30, ["1:27: nested more than 24 levels deep"]),
    # The top
    "misspelt section": (
        "conections: {}\n",
        ["1:1: unknown key 'conections' in the configuration, did you mean 'connections'?"],
    ),
    "foreign word": ("port: 8377\n", ["1:1: unknown key 'port' in the configuration, did you mean 'listen'?"]),
    "unknown section": (
        "xyzzy: 1\n",
        [
            "1:1: unknown key 'xyzzy' in the configuration; expected listen, public_url, connections, profiles, tls, "
            "behind_proxy, hosts, local_access, cors, time_zones, log, state or store"
        ],
    ),
    "listen without port": ("listen: 127.0.0.1\n", ["1:9: listen: '127.0.0.1' has no port, such as '127.0.0.1:8377'"]),
    "listen is a port": ("listen: 8377\n", ["1:9: listen: '8377' is only a port, did you mean '127.0.0.1:8377'?"]),
    "listen without address": (
        "listen: ':8377'\n",
        ["1:9: listen: the address is missing: 127.0.0.1:8377 for this machine only, 0.0.0.0:8377 for all"],
    ),
    "port too high": ("listen: localhost:99999\n", ["1:9: listen: '99999' is not a port number (at most 65535)"]),
    "port no number": ("listen: localhost:http\n", ["1:9: listen: 'http' is not a port number (at most 65535)"]),
    "IPv6 without quotes": (
        "listen: [::1]:8377\n",
        ["1:10: an address that begins with a bracket must be in quotes, such as '[::1]:8377'"],
    ),
    "IPv6 without quotes in a list": (
        "listen:\n  - 127.0.0.1:8377\n  - [::1]:8377\n",
        ["3:6: an address that begins with a bracket must be in quotes, such as '[::1]:8377'"],
    ),
    "bare IPv6": (
        "listen: ::1:8377\n",
        ["1:9: listen: an IPv6 address needs brackets and a port, such as '[::1]:8377', not '::1:8377'"],
    ),
    "bad address": (
        "listen: 127.0.0.300:80\n",
        ["1:9: listen: '127.0.0.300' is neither an IP address nor a host name"],
    ),
    "bare path": (
        "listen: /run/x.sock\n",
        ["1:9: listen: a socket path needs the prefix 'unix:', did you mean 'unix:/run/x.sock'?"],
    ),
    "unix without path": (
        "listen: 'unix:'\n",
        ["1:9: listen: the path after 'unix:' is missing, such as unix:/run/busyd/busyd.sock"],
    ),
    "listen twice": (
        "listen: [localhost:1, localhost:1]\n",
        ["1:23: listen: localhost:1 is listed twice"],
    ),
    "open to the network": (
        "listen: [127.0.0.1:1, '0.0.0.0:1']\n",
        [
            "1:23: listen: other machines can reach 0.0.0.0:1, so add 'tls: {cert: FILE, key: FILE}', "
            "or 'behind_proxy: true' if a proxy provides TLS"
        ],
    ),
    "proxy denied": (
        "listen: '[::]:1'\nbehind_proxy: no\n",
        [
            "1:9: listen: other machines can reach [::]:1, so add 'tls: {cert: FILE, key: FILE}', "
            "or 'behind_proxy: true' if a proxy provides TLS"
        ],
    ),
    "listen to nothing": ("listen: []\n", ["1:1: listen: no address is given, such as 127.0.0.1:8377"]),
    "listen is a mapping": ("listen: {a: b}\n", ["1:9: listen: expected one value, not 'key: value' lines"]),
    "half of tls": ("tls: {cert: /dev/null}\n", ["1:1: tls needs a key, the path of a PEM file"]),
    "tls without files": (
        "tls: {cert: /nonexistent/c, key: /dev/null}\n",
        ["1:13: cert: there is no such file"],
    ),
    "flag": ("behind_proxy: maybe\n", ["1:15: behind_proxy: expected true or false, not 'maybe'"]),
    "flag without value": ("behind_proxy:\n", ["1:14: behind_proxy: the value is missing"]),
    "local access": (
        "local_access: nothing\n",
        ["1:15: local_access: expected freebusy or none, not 'nothing'"],
    ),
    "time zone nobody knows": (
        "time_zones: {Kerio City: Europe/Prag, Home: Nowhere}\n",
        [
            "1:26: time_zones: 'Kerio…': 'Europe/Prag' is not an IANA time zone, did you mean 'Europe/Prague'?",
            "1:45: time_zones: 'Home': 'Nowhere' is not an IANA time zone: write a name such as Europe/Berlin",
        ],
    ),
    "time zone named twice": (
        "time_zones:\n  Home: Europe/Prague\n  HOME: Europe/Berlin\n",
        ["3:3: time_zones: 'HOME' is written twice, once in another spelling"],
    ),
    "time zones as a list": (
        "time_zones: [Europe/Prague]\n",
        ["1:13: time_zones: expected 'key: value' lines"],
    ),
    "cors for all": (
        "cors: ['*']\n",
        ["1:8: cors: '*' would let every web page see when you are busy; list the origins"],
    ),
    "cors with path": (
        "cors: https://example.org/app\n",
        ["1:7: cors: an origin has no path, did you mean 'https://example.org'?"],
    ),
    "cors without scheme": (
        "cors: example.org\n",
        ["1:7: cors: expected an address that starts with https:// or http://"],
    ),
    "host with port": (
        "hosts: [busy.example.org:443]\n",
        ["1:9: hosts: 'busy.example.org:443' is not a host name; leave out scheme, port and path"],
    ),
    "public address with a path": (
        "public_url: https://example.org/busyd/\n",
        [
            "1:13: public_url: busyd must be reachable at the root of a host, so leave out everything after the host "
            "name"
        ],
    ),
    "public address without scheme": (
        "public_url: example.org\n",
        ["1:13: public_url: expected an address that starts with https:// or http://"],
    ),
    # Connections
    "connections is a list": ("connections: [anna]\n", ["1:14: connections: expected 'key: value' lines"]),
    "connection is a text": (
        "connections:\n  anna: hunter2\n",
        [
            "2:3: connection anna needs a password: create an app-specific password at account.apple.com > "
            "Sign-In and Security > App-Specific Passwords, store it with `busyd credential set anna`, and add "
            "'password: {credential: anna}'",
            "2:3: connection anna needs a username, the Apple ID",
            "2:9: connection anna: expected 'key: value' lines",
        ],
    ),
    "connection name": (
        "connections:\n  Anna B.: {username: a, password: {env: X}}\n",
        ["2:3: connection 'Anna…' is not a name: use lower-case letters, digits, '-' and '_'"],
    ),
    "connection name in capitals": (
        "connections:\n  Anna: {username: a, password: {env: X}}\n",
        ["2:3: connection 'Anna' is not a name: use lower-case letters, digits, '-' and '_', did you mean 'anna'?"],
    ),
    "unknown kind": (
        "connections:\n  t: {kind: caldev, username: a, password: {env: X}}\n",
        ["2:13: kind: expected icloud, caldav or ics, not 'caldev', did you mean 'caldav'?"],
    ),
    "kind without value": (
        "connections:\n  t:\n    kind:\n    username: a\n    password: {env: X}\n",
        ["3:10: kind: the value is missing"],
    ),
    "feed without kind": (
        "connections:\n  t: {url: webcal://x/y.ics, username: a, password: {env: X}}\n",
        ["2:12: url: this is the address of a feed: add 'kind: ics'"],
    ),
    "caldav without url": (
        "connections:\n  t: {kind: caldav}\n",
        ["2:3: connection t needs a url, such as https://dav.example.org/"],
    ),
    "feed without url": (
        "connections:\n  t: {kind: ics}\n",
        ["2:3: connection t needs a url, such as webcal://example.org/holidays.ics"],
    ),
    "url without scheme": (
        "connections:\n  t: {kind: caldav, url: dav.example.org}\n",
        ["2:26: url: expected an address that starts with https:// or http://"],
    ),
    "url with a port that is none": (
        "connections:\n  t: {kind: caldav, url: 'https://dav.example.org:99999/'}\n",
        ["2:26: url: the address has no valid host, port or path; check it for typing mistakes and spaces"],
    ),
    "user agent with a letter that is not ASCII": (
        FEED + "  t: {kind: ics, url: 'https://x.org/', user_agent: ä}\n",
        ["4:53: user_agent: only printable ASCII characters can be sent"],
    ),
    "password in the url": (
        "connections:\n  t: {kind: caldav, url: 'https://u:hunter2@x/'}\n",
        ["2:26: url: the address contains a user name or password; use the keys username and password"],
    ),
    "icloud without tls": (
        "connections:\n  t: {url: 'http://caldav.icloud.com/', username: a, password: {env: X}}\n",
        ["2:12: url: the password would cross the network unencrypted; use https for iCloud"],
    ),
    "password without username": (
        "connections:\n  t: {kind: caldav, url: 'https://x/', password: {env: X}}\n",
        ["2:3: connection t needs a username"],
    ),
    "username without password": (
        "connections:\n  t: {kind: caldav, url: 'https://x/', username: a}\n",
        [
            "2:3: connection t needs a password: store it with `busyd credential set t`, and add "
            "'password: {credential: t}'"
        ],
    ),
    "user for username": (
        "connections:\n  t: {kind: ics, url: 'https://x/', user: a}\n",
        ["2:37: unknown key 'user' in connection t, did you mean 'username'?"],
    ),
    "poll too often": (
        "connections:\n  t: {kind: ics, url: 'https://x/', poll: 4s}\n",
        ["2:43: poll: must be at least 5s"],
    ),
    "poll without unit": (
        "connections:\n  t: {kind: ics, url: 'https://x/', poll: 60}\n",
        ["2:43: poll: '60' has no unit, did you mean '60s' or '60m'?"],
    ),
    "poll in words": (
        "connections:\n  t: {kind: ics, url: 'https://x/', poll: 5min}\n",
        ["2:43: poll: '5min' is not a duration, did you mean '5m'?"],
    ),
    "poll often": (
        "connections:\n  t: {kind: ics, url: 'https://x/', poll: often}\n",
        ["2:43: poll: 'often' is not a duration: write it like 60s, 15m, 6h or 14d"],
    ),
    "poll for ever": (
        "connections:\n  t: {kind: ics, url: 'https://x/', poll: 999999d}\n",
        ["2:43: poll: '999999d' is longer than 3660 days"],
    ),
    # Passwords
    "password empty": (
        "connections:\n  t: {username: a, password: }\n",
        ["2:30: password: expected {credential: NAME}, {file: PATH}, {env: NAME} or {command: [PROGRAM, ARGUMENT]}"],
    ),
    "password source misspelt": (
        "connections:\n  t: {username: a, password: {credentials: x}}\n",
        [
            "2:30: password: expected {credential: NAME}, {file: PATH}, {env: NAME} or {command: [PROGRAM, ARGUMENT]}"
            ", did you mean 'credential'?"
        ],
    ),
    "two password sources": (
        "connections:\n  t: {username: a, password: {env: X, file: y}}\n",
        ["2:30: password: expected {credential: NAME}, {file: PATH}, {env: NAME} or {command: [PROGRAM, ARGUMENT]}"],
    ),
    "password as the name of a credential": (
        "connections:\n  t: {username: a, password: {credential: abcd-efgh-ijkl-mnop}}\n",
        [
            "2:43: password: credential: this looks like the password itself; choose a name, and store the password "
            "under that name"
        ],
    ),
    "credential name": (
        "connections:\n  t: {username: a, password: {credential: ../x}}\n",
        ["2:43: password: credential: a name consists of letters, digits, '_', '-' and '.'"],
    ),
    "variable with dollar": (
        "connections:\n  t: {username: a, password: {env: $X}}\n",
        ["2:36: password: env: expected the name of an environment variable, without '$'"],
    ),
    "command as a text": (
        "connections:\n  t: {username: a, password: {command: pass show x}}\n",
        ["2:40: password: command: expected a list of program and arguments, such as [pass, show, icloud]"],
    ),
    "command without program": (
        "connections:\n  t: {username: a, password: {command: []}}\n",
        ["2:40: password: command: the list is empty"],
    ),
    # Profiles
    "unknown key in profile": (
        FEED + "profiles:\n  anna: {conflict: [days]}\n",
        ["5:10: unknown key 'conflict' in profile anna, did you mean 'conflicts'?"],
    ),
    "zone misspelt": (
        "profiles:\n  anna: {timezone: Europe/Berlim}\n",
        ["2:20: timezone: 'Europe/Berlim' is not an IANA time zone, did you mean 'Europe/Berlin'?"],
    ),
    "zone of Windows": (
        "profiles:\n  anna: {timezone: W. Europe Standard Time}\n",
        ["2:20: timezone: 'W.…' is not an IANA time zone, did you mean 'Europe/Berlin'?"],
    ),
    "zone is a city": (
        "profiles:\n  anna: {timezone: new york}\n",
        ["2:20: timezone: 'new…' is not an IANA time zone, did you mean 'America/New_York'?"],
    ),
    "zone is a path": (
        "profiles:\n  anna: {timezone: ../../etc/passwd}\n",
        ["2:20: timezone: '../../etc/passwd' is not an IANA time zone: write a name such as Europe/Berlin"],
    ),
    "unknown connection": (
        FEED + "profiles:\n  anna: {primary: ana/Work}\n",
        ["5:19: primary: there is no connection 'ana', did you mean 'anna/Work'?"],
    ),
    "quite unknown connection": (
        FEED + "profiles:\n  anna: {conflicts: [xyzzy]}\n",
        ["5:22: conflicts: there is no connection 'xyzzy'; known connections: anna, days"],
    ),
    "no connection at all": (
        "profiles:\n  anna: {primary: anna/Work}\n",
        ["2:19: primary: there is no connection 'anna'; none is configured"],
    ),
    "no connection in front": (
        FEED + "profiles:\n  anna: {primary: /Work}\n",
        ["5:19: primary: expected CONNECTION/CALENDAR; the name before the slash is missing"],
    ),
    "account without calendar": (
        FEED + "profiles:\n  anna: {conflicts: anna}\n",
        ["5:21: conflicts: anna is an account with several calendars, did you mean 'anna/*'?"],
    ),
    "account as primary": (
        FEED + "profiles:\n  anna: {primary: anna}\n",
        ["5:19: primary: anna is an account with several calendars; write the one you mean, such as 'anna/Work'"],
    ),
    "calendar of a feed": (
        FEED + "profiles:\n  anna: {conflicts: [days/All]}\n",
        ["5:22: conflicts: days is a feed with one calendar, did you mean 'days'?"],
    ),
    "all as primary": (
        FEED + "profiles:\n  anna: {primary: 'anna/*'}\n",
        ["5:19: primary: that must be a single calendar, such as 'anna/Work'"],
    ),
    "feed as primary": (
        FEED + "profiles:\n  anna: {primary: days}\n",
        ["5:19: primary: days is a feed, which cannot be written to; choose a calendar of an account"],
    ),
    "primary is a list": (
        FEED + "profiles:\n  anna: {primary: [anna/A, anna/B]}\n",
        ["5:19: primary: expected one value, not a list"],
    ),
    "unquoted star": (
        FEED + "profiles:\n  anna:\n    conflicts: [*]\n",
        ["6:17: '*' is a YAML alias, which busyd does not support; put the text in quotes"],
    ),
    "address": (
        "profiles:\n  anna: {addresses: [anna]}\n",
        ["2:22: addresses: 'anna' is not an address, such as anna@example.com"],
    ),
    "rule value": (
        "profiles:\n  anna: {rules: {all_day: bussy}}\n",
        ["2:27: all_day: expected as-marked, busy or free, not 'bussy', did you mean 'busy'?"],
    ),
    "declined has no tentative": (
        "profiles:\n  anna: {rules: {declined: tentative}}\n",
        ["2:28: declined: expected free or busy, not 'tentative'"],
    ),
    "rule name": (
        "profiles:\n  anna: {rules: {all-day: busy}}\n",
        ["2:18: unknown key 'all-day' in rules, did you mean 'all_day'?"],
    ),
    "rules of an unused connection": (
        FEED + "profiles:\n  anna: {conflicts: [days], calendars: {anna/Home: {all_day: free}}}\n",
        ["5:41: calendars: this profile uses no calendar of anna"],
    ),
    "rules of an unknown calendar": (
        FEED + "profiles:\n  anna: {conflicts: [days], calendars: {dais: {all_day: free}}}\n",
        ["5:41: calendars: there is no connection 'dais', did you mean 'days'?"],
    ),
    # Hours
    "day misspelt": (
        "profiles:\n  anna: {hours: {mnday: '9:00-10:00'}}\n",
        ["2:18: hours: 'mnday' is not a day: write mon-fri, sat, or a date such as 2026-12-24, did you mean 'monday'?"],
    ),
    "day twice": (
        "profiles:\n  anna:\n    hours:\n      mon-fri: 9:00-17:00\n      wed: 9:00-12:00\n",
        ["5:7: hours: wednesday is already set in line 4"],
    ),
    "date twice": (
        "profiles:\n  anna: {hours: {mon: 9:00-17:00, 2026-1-2: [], 2026-01-02: []}}\n",
        ["2:49: hours: 2026-01-02 is set twice"],
    ),
    "no such date": (
        "profiles:\n  anna: {hours: {mon: 9:00-17:00, 2026-02-30: []}}\n",
        ["2:35: hours: '2026-02-30' is not a valid date"],
    ),
    "only dates": (
        "profiles:\n  anna: {hours: {2026-12-24: []}}\n",
        ["2:10: hours: without a weekday, every day would be closed; add one, or leave 'hours' out"],
    ),
    "hours empty": (
        "profiles:\n  anna:\n    hours:\n",
        ["3:5: hours: without a weekday, every day would be closed; add one, or leave 'hours' out"],
    ),
    "span in words": (
        "profiles:\n  anna: {hours: {mon: morning}}\n",
        ["2:23: hours 'mon': 'morning' is not a time span, such as '09:00-17:00'"],
    ),
    "span backwards": (
        "profiles:\n  anna: {hours: {mon: '22:00-02:00'}}\n",
        [
            "2:23: hours 'mon': '22:00-02:00' ends before it starts: to span midnight, write '22:00-24:00', and the "
            "rest on the next day"
        ],
    ),
    "span of nothing": (
        "profiles:\n  anna: {hours: {mon: '09:00-09:00'}}\n",
        ["2:23: hours 'mon': '09:00-09:00' is empty"],
    ),
    "hour 25": (
        "profiles:\n  anna: {hours: {mon: '09:00-25:00'}}\n",
        ["2:23: hours 'mon': '09:00-25:00' is not a valid time span: times go from 00:00 to 24:00"],
    ),
    "minute 60": (
        "profiles:\n  anna: {hours: {mon: '09:60-11:00'}}\n",
        ["2:23: hours 'mon': '09:60-11:00' is not a valid time span: times go from 00:00 to 24:00"],
    ),
    "spans overlap": (
        "profiles:\n  anna: {hours: {mon: ['13:00-17:00', '09:00-14:00']}}\n",
        ["2:23: hours 'mon': 09:00-14:00 and 13:00-17:00 overlap"],
    ),
    # Slots and ages
    "slot of nothing": (
        "profiles:\n  anna: {slots: {duration: 0m, step: 0s}}\n",
        ["2:28: duration: must not be zero", "2:38: step: must not be zero"],
    ),
    "slot key": (
        "profiles:\n  anna: {slots: {length: 30m}}\n",
        ["2:18: unknown key 'length' in slots, did you mean 'duration'?"],
    ),
    "negative notice": (
        "profiles:\n  anna: {slots: {notice: -2h}}\n",
        ["2:26: notice: '-2h' is not a duration: write it like 60s, 15m, 6h or 14d"],
    ),
    "limits that are no numbers": (
        "profiles:\n  anna: {slots: {per_day: 0, per_week: many}}\n",
        [
            "2:27: per_day: expected a whole number from 1 to 9999, not '0'",
            "2:40: per_week: expected a whole number from 1 to 9999, not 'many'",
        ],
    ),
    "window before the notice": (
        "profiles:\n  anna: {slots: {window: 2h}}\n  ben: {slots: {window: 0m, notice: 0m}}\n",
        [
            "2:26: window: must be longer than 'notice' (2h), or no slot is ever offered",
            "3:25: window: must be longer than 'notice' (0m), or no slot is ever offered",
        ],
    ),
    "window of nothing": ("profiles:\n  anna: {slots: {window: }}\n", ["2:26: window: the value is missing"]),
    "invitation by post": (
        "profiles:\n  anna: {appointments: {invite: post, remind: 15m}}\n",
        [
            "2:33: invite: expected none or server, not 'post'",
            "2:39: unknown key 'remind' in appointments, did you mean 'reminders'?",
        ],
    ),
    "reminders": (
        "profiles:\n  anna: {appointments: {reminders: [15, 1m, 2m, 3m, 4m, 5m, 6m, 7m, 8m, 9m, 10m, 11m]}}\n",
        [
            "2:37: reminders: '15' has no unit, did you mean '15s' or '15m'?",
            "2:82: reminders: at most 10 of them",
        ],
    ),
    "max age": ("profiles:\n  anna: {max_age: 0s}\n", ["2:19: max_age: must not be zero"]),
    "max age of a calendar": (
        FEED
        + "profiles:\n  anna: {conflicts: [days, anna/A], calendars: {days: {max_age: 0s}, anna/A: {max_age: 5}}}\n",
        ["5:65: max_age: must not be zero", "5:88: max_age: '5' has no unit, did you mean '5s' or '5m'?"],
    ),
}

NOBODY = 65534


def faults_of(path: Path) -> list[str]:
    """All faults, without the name of the file."""
    with pytest.raises(ConfigFaults) as raised:
        load_config(path, {"HOME": "/home/anna"})
    return [str(fault).removeprefix(f"{path}:") for fault in raised.value.faults]


@pytest.mark.parametrize("name", TABLE)
def test_a_fault_is_told_with_its_place_and_a_remedy(tmp_path: Path, name: str) -> None:
    text, expected = TABLE[name]
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert faults_of(path) == expected


def test_all_faults_of_a_file_are_told_at_once_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "listen: nowhere\nconnections:\n  Anna:\n    poll: 1s\n"
        "profiles:\n  ben: {timezone: Mars, hours: {x: y}}\nfoo: 1\n"
    )
    lines = [fault.split(": ")[0] for fault in faults_of(path)]
    assert lines == ["1:9", "3:3", "3:3", "3:3", "4:11", "6:19", "6:33", "6:36", "7:1"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfea\x00", "1:1: the file is encoded as UTF-16; save it as UTF-8"),
        (b"a: b\nc: \xe9\n", "2:4: the file is not valid UTF-8"),
        (b"a: b\nc: \x00\n", "2:4: invalid character U+0000"),
        (b"\x7fELF\x01\x01", "1:1: invalid character U+007F"),
        (b"#" * (4 * 1024 * 1024 + 1), "1:1: the file is larger than 4 MiB, too large for a configuration"),
    ],
)
def test_a_file_that_is_no_text_is_told_so(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert faults_of(path) == [expected]


def test_a_missing_file_and_a_directory_are_told_so(tmp_path: Path) -> None:
    assert faults_of(tmp_path / "none.yaml") == ["1:1: there is no such file"]
    assert faults_of(tmp_path) == ["1:1: this is a directory, not a file"]


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Root may read everything: be somebody else for a moment."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    yield
    os.seteuid(user)


def test_an_unreadable_file_is_told_so(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("{}")
    path.chmod(0)
    request.getfixturevalue("as_nobody")
    told = re.compile(r"1:1: user \S+ may not (read|enter) /\S+: run `chgrp \S+ /\S+` and `chmod \S+ /\S+`.*")
    assert any(told.fullmatch(fault) for fault in faults_of(path))


def test_a_plain_password_in_a_file_that_others_can_read_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("connections:\n  anna: {username: a, password: abcd-efgh-ijkl-mnop}\n")
    path.chmod(0o640)
    assert faults_of(path) == [
        "2:33: this file contains a password, and other users can read it (mode 0640): run "
        f"`chmod 600 {path}`, or use credential, file, env or command instead"
    ]


def test_a_plain_password_in_a_file_of_somebody_else_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("connections:\n  anna: {username: a, password: abcd-efgh-ijkl-mnop}\n")
    path.chmod(0o600)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    user = describe_user(os.geteuid())
    assert faults_of(path) == [
        f"2:33: this file contains a password, and another user owns it: run `chown {user}: {path}` and "
        f"`chmod 600 {path}`, or use credential, file, env or command instead"
    ]


def test_a_key_set_in_two_files_is_told_with_both_places(tmp_path: Path) -> None:
    path, extra = tmp_path / "config.yaml", tmp_path / "config.d"
    extra.mkdir()
    path.write_text(ICLOUD + "state: /a\n")
    (extra / "10.yaml").write_text("connections:\n  anna:\n    username: other\n")
    (extra / "20.yaml").write_text("state: /b\n")
    with pytest.raises(ConfigFaults) as raised:
        load_config(path, {})
    assert [str(fault) for fault in raised.value.faults] == [
        f"{extra}/10.yaml:3:5: connections.anna.username is already set at {path}:2:10",
        f"{extra}/20.yaml:1:1: state is already set at {path}:3:1",
    ]


def test_a_broken_file_beside_the_main_one_is_told_without_faults_that_follow_from_it(tmp_path: Path) -> None:
    path, extra = tmp_path / "config.yaml", tmp_path / "config.d"
    extra.mkdir()
    path.write_text("profiles:\n  anna: {primary: anna/Work}\n")
    (extra / "10.yaml").write_text("connections: [\n")
    with pytest.raises(ConfigFaults) as raised:
        load_config(path, {})
    assert [fault.location.file for fault in raised.value.faults] == [str(extra / "10.yaml")]
