"""Apple's own menus, in Apple's own words, as people have to find them. Pure."""

from typing import Final

APP_PASSWORDS: Final = "account.apple.com > Sign-In and Security > App-Specific Passwords"
"""Where app-specific passwords are made and revoked."""
TWO_FACTOR: Final = "Settings > your name > Sign-In & Security > Two-Factor Authentication"
EMAIL_ADDRESSES: Final = "account.apple.com > Sign-In and Security > Email & Phone Numbers"
SYSTEM_STATUS: Final = "www.apple.com/support/systemstatus"

NO_TWO_FACTOR: Final = (
    f"if App-Specific Passwords is missing there, two-factor authentication is off: turn it on in {TWO_FACTOR} "
    "(on a Mac: System Settings), then create the password"
)
CREATE_APP_PASSWORD: Final = f"create an app-specific password at {APP_PASSWORDS}"
NOT_APP_SPECIFIC: Final = "this does not look like an app-specific password (xxxx-xxxx-xxxx-xxxx)"
"""Said of a password before anybody has refused it."""


def steps_to_an_app_password(connection: str) -> tuple[str, ...]:
    """What to do where a connection has another password, which is never sent to Apple."""
    return (
        CREATE_APP_PASSWORD,
        f"store it with `busyd credential set {connection}`, or where the connection takes its password from",
        NO_TWO_FACTOR,
        "`allow_password_shape: any` at the connection has other passwords sent too; Apple refuses them",
    )
