"""What a server's answers prove, and what follows from them. Read `round.py` first: it decides, all else carries out.

Decided, without I/O:

* `round.py`        what a poll does with every calendar: a deleted event, a 404, a calendar that is missing
* `doubts.py`       whether what left one calendar may be in another
* `settlement.py`   what a look at one calendar settles: forgotten, held, looked at again
* `second_look.py`  when a calendar is looked into although nothing may seem to have changed; `outcome.py` of what look
* `due.py`          which calendars are read, and how
* `plan.py`         what one answer says that has changed, and what is too much at once
* `timing.py`       every interval
* `reasons.py`      every reason, in a word
* `round_facts.py`  the values a round is planned from; `decision.py` the plan

Carried out:

* `calendar_sync.py`   read one calendar, and commit what was settled
* `look.py`            ask what changed; `fetch.py` fetch it, and GET singly what a multiget denies
* `removals.py`        ask a calendar whether it is gone, list again, take calendars out
* `feed_sync.py`       feeds, also those of subscribed calendars
* `context.py`         what a poll works with and remembers
"""
