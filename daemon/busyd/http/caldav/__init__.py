"""The CalDAV server: the linked calendars of each profile as collections, with one of blocked slots.

Events are written through (`flow/writing.py`): their server comes first, then the mirror, then the answer.

What is supported, by section, with the module of its tests below `tests/http/caldav/`:

    RFC 4918   §9.1    PROPFIND of Depth 0 and 1, prop, allprop with include, propname        test_reading
               §9.1    Depth infinity: refused, propfind-finite-depth                         test_reading
               §9.2    PROPPATCH of collections: kept here, all or nothing                    test_changing
               §9.4    GET, HEAD of members with strong ETags, If-None-Match                  test_bad_input
               §9.6, 9.7   DELETE, PUT of members with If-Match, If-None-Match                test_writing
               §9.9    MOVE of members within an account                                      test_writing
               §9.3, 9.8   MKCOL, COPY: need-privileges                                       test_reading
               §9.10   locks: not supported (class 1 and 3)                                   test_reading
               §10.6   If: not supported
    RFC 3253   §3.6    REPORT; supported-report-set                                           test_reading
    RFC 3744   §4, §5  principal-URL, owner, current-user-privilege-set, principal-collection-set  test_reading
               §5.3    supported-privilege-set, acl, group-member-set: not supported
               §9      the reports about principals: nobody is found                          test_multiget
    RFC 4791   §5.2    the properties of calendars, but for min-date-time, max-date-time and max-instances,
                       which have no bound                                                    test_reading
               §5.3.1  MKCALENDAR: need-privileges                                            test_reading
               §5.3.2  preconditions of PUT, but for max-instances and the dates              test_writing
               §6.2.1  calendar-home-set                                                      test_reading
               §7.5    i;ascii-casemap and i;octet                                            test_time_range
               §7.8    calendar-query; with Depth 0 as with 1                                 test_time_range
               §7.9    calendar-multiget                                                      test_multiget
               §7.10   free-busy-query on the home and on calendars                           test_free_busy
               §9.6    calendar-data: expand, limit-recurrence-set, parts                     test_calendar_data
               §9.7    comp-filter, prop-filter, param-filter, text-match, is-not-defined     test_time_range
               §9.9    time-range of VEVENT; of alarms and properties: supported-filter       test_time_range
    RFC 5397           current-user-principal                                                 test_reading
    RFC 6578           sync-collection of level 1, limits, tombstones of thirty days          test_sync, test_blocked
               §3.3    level infinite: sync-traversal-supported                               test_sync
    RFC 6638           scheduling: not supported, and not announced; calendar-user-address-set   test_reading
    RFC 6764           `/.well-known/caldav` answers itself, and leads a browser to `/dav/`   test_reading
    RFC 7617           a token of the profile is the password; any user name will do          test_reading
    RFC 7809           calendar-timezone-id, CALDAV:timezone-id in queries                    test_time_range
    RFC 7953   §7.2.4  calendar-availability from `hours`                                     test_reading
    RFC 8144           Prefer: return=minimal, and Brief                                      test_reading
"""
