"""When a person is busy, and when not: events and rules in, busy periods and open slots out. No network, no storage.

`policy.py` decides what blocks, and nothing else does. On the way to it: `index.py` makes the entry of one object,
`occurrence_table.py` holds the entries of one calendar, `snapshot.py` the busy periods of one profile. `slots.py` finds
where an appointment fits, `busy.py` goes the whole way without a daemon.
"""
