"""The network: moves bytes to and from servers, under limits, credentials kept at home. No calendar is read here.

aiohttp is imported nowhere else. It is slow to load, so the daemon imports this room after it has begun to answer.
"""
