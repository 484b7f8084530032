"""busyd: a local CalDAV proxy and availability daemon. It knows when a person is busy, and can say why.

Never answer "free" without being able to prove it, and always be able to say why.

Layers, from the top; each imports only from those below it (`tests/test_architecture.py` checks that):

    cli                                      commands of the shell
    service                                  composition root: lifecycle, schedule of polls, settings
    http  config  systemd  log               handlers, feeds, page; YAML; the service manager; logging
    flow                                     the pipelines below, and Backend: what handlers may call
    sync  booking                            what a server's answers prove, and what follows from them; what is written
    index                                    calendar objects -> occurrence entries -> the published snapshot
    state                                    what is in memory: connections, links, profiles, revisions
    availability  advice                     policy, occurrence table, snapshot, slots; faults -> what to tell a person
    remote  store                            bytes to and from servers; storage behind one interface
    ical  dav  credentials  running          RFC 5545; RFC 4918, 4791 and 6578 as values; secrets; running daemons
    connection  address  clock  cooperative  own_thread  progress  timetext  ownership  spelling  durations   vocabulary
    os_errors  regular_file  durable_file    faults of the system; files of other people; files written as a whole
    period  errors                           the ground

Pipelines:

* Poll (`flow/poll.py`): list the calendars, decide what to read (`sync/round.py`, a pure function), read it
  (`sync/calendar_sync.py`), decide what may be believed, commit, publish. What a server's 404, silence or contradiction
  means stands in `sync/round.py` and nowhere else.
* Tell (`index/changes.py`): what a poll has changed for each profile, into the log of changes, once answers show it;
  streams and pages read it (`flow/changes.py`), and webhooks are sent it (`flow/webhooks.py`).
* Ask (`flow/ask.py`): every free/busy answer of every handler, from the snapshot in memory: no SQL, no network, no
  iCalendar.
* Look back (`flow/history.py`): since when a moment is busy or free, and by what, from the log of changes.
* Explain (`flow/explain.py`): why, from the mirror: each event with the rule that decided.

Facts are stored, policy is applied: the index says "tentative, unanswered, all-day"; what that means is the profile's
rules, applied when the snapshot is built, so a changed rule needs no second reading of any calendar.

The order is always commit, occurrence table, snapshot, proof: a proof is shown only once the snapshot holds what it
proves. Doubt is busy: what cannot be read keeps its time blocked and is listed with its reason, and nothing that a
server fails to say deletes anything.

Caches, each with its key and the one rule by which it is dropped:

    Ledger._tokens, _admitted         token id; token text   the file's change counter is not the one read
    Backend._seen                     profile                its revision, its snapshot or the clock moved on
    AnswerCache                       text of the question   another profile revision, or another "now" it depends on
    FreeBusyJson._frames, _periods    profile                another freshness; another snapshot
    FeedHandler._feeds                token id               what the feed was made from differs; bodies beyond 16 MiB
    AnswerMemo._known                 token, request         members, links, properties, busy time or the day differ
    BlockedSlots._made                profile                the snapshot, what is known, or the month differs
    GivenProperties._known            profile or token       changed; the daemon alone writes them
    WorkingHours._made                profile                the hours, the zone or the year differ
    FollowedSecrets._known            name                   another number in the table; looked at every two seconds
    ListenerContext.heads             raw header fields      never: pure, bounded
    ChangeLog._recent                 the last entries         never: what was told does not change
    ChangeRecorder._told, _last       profile; two snapshots   told of anew; another two
    ChangeRecorder._told_rows         appointment              told otherwise, or over
    ChangeRecorder._hours             profile                  its working hours or zone differ
    OriginFinder._deleted, _rows      object; row              the change that they explain was told
    SnapshotPublisher._last           two snapshots            at the end of publishing
    Chunk.known_cells                 the chunk                never: a chunk does not change once published
    OwnRows._spans, _made             profile                a row takes another time, or the links differ
    State.tables                      calendar, zone         changed with the commit of the index, or what is accepted
    State.links                       calendar; connection   the links of a profile change
    stored index                      object, zone           another index version, or span for recurring objects
    stored snapshot                   profile                another snapshot_key (day, links, rules, accepted …)
    lru_cache in ical and period      the arguments          never: pure; zones when the time-zone data is replaced
"""

__version__ = "0.1.0"
