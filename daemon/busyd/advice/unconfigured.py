"""What is said of a profile without calendars that block, wherever somebody asks when it is busy."""


def describe_unconfigured(profile: str) -> str:
    """Why nothing of its time is known to be free."""
    return f"the profile {profile} has no calendar that blocks, so none of its time is known to be free"


def fix_unconfigured(profile: str) -> str:
    """What to do about it."""
    return f"set `primary:` or `conflicts:` of {profile} in the configuration"
