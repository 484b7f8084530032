"""Passwords: a type that hides them, the sources they come from, and the encrypted file that stores them. Tokens of
clients, as values (`tokens.py`).

Reading a password blocks (a file, or a program for up to 30 seconds), so the daemon does it in a thread. The store is
imported only where there is one, because cryptography is slow to load.
"""

from busyd.credentials.files import CredentialMissing, is_credential_name
from busyd.credentials.secret import Secret, looks_app_specific, normalise_app_specific
from busyd.credentials.source import (
    FromCommand,
    FromCredential,
    FromEnvironment,
    FromFile,
    Literal,
    PasswordSource,
    read_password,
)

__all__ = [
    "CredentialMissing",
    "FromCommand",
    "FromCredential",
    "FromEnvironment",
    "FromFile",
    "Literal",
    "PasswordSource",
    "Secret",
    "is_credential_name",
    "looks_app_specific",
    "normalise_app_specific",
    "read_password",
]
