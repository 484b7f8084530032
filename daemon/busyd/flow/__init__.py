"""The pipelines, and what handlers may call.

`poll.py` brings a connection up to date, `ask.py` answers when somebody is busy, `explain.py` answers why. `backend.py`
is all of it as seen by handlers, in the values of `views.py`.
"""
