"""Passwords: what hides them, where they come from, and the encrypted file that keeps them. No protocol, no account.

Reading blocks (a file, a program of up to 30 seconds), so the daemon does it in a thread. The store is imported only
when there is one, because cryptography is slow to load.
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
