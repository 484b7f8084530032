"""busyd: a local CalDAV proxy and availability daemon. It knows when a person is busy, and can say why.

Never answer "free" without being able to prove it, and always be able to say why.

The backend has rooms (nouns of the field, which do not know each other sideways) and three corridors:

* `flow/poll.py`  remote calendar -> mirror -> busy index -> snapshot. Read this first.
* `flow/ask.py`   question -> answer, from the snapshot in memory: no SQL, no network, no iCalendar.
* `flow/book.py`  appointment -> primary calendar (not built yet).

The rooms, from the top; each imports only from the rows below its own (`tests/test_architecture.py` holds us to it):

    __main__                             the way in
    cli/                                 commands of the shell
    service/                             composition root: builds every room from the configuration
    endpoint/  config/  systemd  log     handlers: HTTP, YAML, the service manager, the journal
    flow/                                the journeys
    sync/  availability/                 what changed remotely; what it means for busy time
    remote/  store/                      bytes to and from servers; SQLite
    ical/  dav/  credentials/            RFC 5545 and RFC 4918/4791/6578 as pure values; secrets
    connection  address  clock           words everybody shares,
    period  errors                       from the ground up

Facts are stored, policy is applied: the index on disk says "tentative, unanswered, all-day"; what that means is the
profile's rules, read when the snapshot is built, so a changed rule needs no second reading of any calendar.

Doubt is busy. What cannot be read keeps its time blocked, is listed with its reason, and nothing that a server fails
to say deletes anything.
"""

__version__ = "0.1.0"
