"""The commands of the shell. `main.py` imports the module of the command that was called, and no other.

`busyd NAME` is `NAME.py`, with further parts beside it (`setup_choices.py`, `doctor_report.py`). Every other module is
shared: which installation is meant (`installation.py`), how the daemon is asked (`daemon_client.py`), how a server is
(`remote_session.py`), what is printed (`terminal.py`, `progress.py`), how it ends (`exit_status.py`).
"""
