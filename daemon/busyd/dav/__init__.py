"""RFC 4918, 4791, 6578 and 5397 as values: requests, responses, and the operations made of both.

Role-free and without sockets: `remote/` carries the requests, and busyd's own CalDAV listener speaks the same values.
"""
