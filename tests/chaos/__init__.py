"""The poll pipeline against the simulated iCloud, in one event loop and in virtual time, under an oracle."""
