"""The addresses of the simulator's origins: which host and port plays which part of Apple's."""

from dataclasses import dataclass


@dataclass(slots=True)
class Places:
    """Origins without a trailing slash, each with its explicit port, as iCloud's home-set has it (`:443` there).

    `bootstrap` is caldav.icloud.com, `shard` p180-caldav.icloud.com, `other_shard` p181-caldav.icloud.com, `feeds`
    calendars.icloud.com; `foreign` belongs to somebody else, and no credential may ever arrive there.
    """

    bootstrap: str = ""
    shard: str = ""
    other_shard: str = ""
    feeds: str = ""
    foreign: str = ""
    control: str = ""

    def of(self, origin: str) -> str:
        return str(getattr(self, origin.replace("-", "_")))


PARTITIONS = {"shard": "180", "other-shard": "181"}
