"""Apple's own menus, in Apple's own words, as people have to find them. Constants only."""

from typing import Final

APP_PASSWORDS: Final = "account.apple.com > Sign-In and Security > App-Specific Passwords"
"""Where app-specific passwords are made and revoked."""
TWO_FACTOR: Final = "Settings > your name > Sign-In & Security > Two-Factor Authentication"
EMAIL_ADDRESSES: Final = "account.apple.com > Sign-In and Security > Email & Phone Numbers"
SYSTEM_STATUS: Final = "www.apple.com/support/systemstatus"

CREATE_APP_PASSWORD: Final = f"create an app-specific password at {APP_PASSWORDS}"
NOT_APP_SPECIFIC: Final = "this does not look like an app-specific password (xxxx-xxxx-xxxx-xxxx)"
"""Said of a password before anybody has refused it."""
