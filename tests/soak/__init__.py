"""Loops that run for minutes or hours: bad days of the real daemon, and what else no test has the time for."""
