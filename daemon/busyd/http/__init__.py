"""The HTTP side. It reaches calendars only through the `Backend` of `flow/`, never the state or a store.

`routes.py` says which path is answered by which handler; the handler of a path has a module of its name. `app.py` is
what every request goes through: `request_headers.py` reads its fields, `auth.py` says who asks, `problem.py` is what a
refusal looks like. `bodies.py` has the shape of every JSON answer, `openapi.py` publishes these shapes.
"""
