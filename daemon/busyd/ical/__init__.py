"""iCalendar: the bytes of an object in, occurrences with their facts out. What blocks is not decided here. Pure.

From bytes to occurrences: `lines.py` (content lines), `parse.py` (series of events), `event.py` (one component),
`recurrence.py` (the occurrences of an object), `recurrence_set.py` (those of one master). A rule is read by `rule.py`
and expanded by `rule_expansion.py`, or by `subdaily.py` when it repeats within a day. Zones are `zones.py`. Every bound
on the work is in `limits.py`. `compose.py` goes the other way.
"""
