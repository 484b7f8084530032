"""RFC 4918, 4791, 6578 and 5397 as values: requests, responses, and the operations made of both.

Without sockets: `remote/` sends the requests.
"""
