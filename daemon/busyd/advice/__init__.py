"""What to tell a person about a fault: an error and what else is known go in, sentences come out. Pure.

The errors of `dav/` and `remote/` state what happened, and carry the facts as fields. What it means for the person, and
what to do about it, is written here and nowhere else.
"""
