"""The network: moves bytes to and from servers, within limits, and sends credentials only to their own server.

`client.py` carries out the operations of `dav/`; `transport.py` sends their requests, and decides which host gets the
credentials; `feed.py` fetches a feed. One exchange of bytes, for both, is `wire.py`.

The HTTP client is slow to load, so the daemon imports it only once it answers from the mirror.
"""
