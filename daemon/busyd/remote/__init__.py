"""The network: moves bytes to and from servers, within limits, and sends credentials only to their own server.

The HTTP client is slow to load, so the daemon imports it only once it answers from the mirror.
"""
