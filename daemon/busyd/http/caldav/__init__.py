"""The CalDAV server: the linked calendars of each profile as collections (RFC 4918, RFC 4791, RFC 6578).

With a calendar of blocked slots for each. Read-only, and announced as such. RFC by RFC, with the tests in
`tests/http/caldav/`:

    RFC 4918   PROPFIND (Depth 0 and 1, prop, allprop with include, propname), GET, HEAD, OPTIONS; class 1
    RFC 3744   current-user-privilege-set, owner, principal-URL; the reports about principals find nobody
    RFC 4791   calendar-multiget; calendar-query with time-range over recurrences (§9.9), comp-filter, prop-filter,
               param-filter and text-match; free-busy-query on the home of a profile
    RFC 5397   current-user-principal
    RFC 6578   sync-collection of level 1, with limits and tombstones of thirty days
    RFC 6764   `/.well-known/caldav` answers itself, and leads a browser to `/dav/`
    RFC 7617   a token of the profile is the password; any user name will do
    RFC 8144   Prefer: return=minimal
    not yet    expand (501); a part of an object alone, or without some overrides (it is given whole); a time-range of
               an alarm or a property (supported-filter); writing
"""
