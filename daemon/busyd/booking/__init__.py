"""Appointments, holds and blocks: which state follows which, what a look at the server makes busyd do, what is written.

No bytes move here, and nothing is stored.
"""
