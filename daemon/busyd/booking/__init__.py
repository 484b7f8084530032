"""Appointments, holds and blocks: which state follows which, what a look at the server makes busyd do, what is written.

Nothing is stored here; bytes move only through the client that `carrying.py` is given.
"""
