"""The busy index: what each object says of time, kept in step with the mirror, and the snapshots made from it.

`writer.py` takes in the changes of a calendar, and reads them by `expansion.py` (`worker.py` is the process for the
heavy ones); `publisher.py` makes snapshots and shows proofs; `restore.py` takes both from the disk at a start, and
`loading.py` the tables of a calendar; `rolling.py` follows the days, `retry.py` tries again what could not be read.
"""
