/* Reads calendar objects, expands each between two instants with libical, and prints how many occurrences there are.
 *
 * Input: for every object its length as text, a newline, and so many bytes. A zone is looked up where libical looks:
 * in the object's own VTIMEZONE, else among the builtin ones, which libical keeps once they are read.
 */
#include <libical/ical.h>
#include <stdio.h>
#include <stdlib.h>

static void count_one(icalcomponent *event, struct icaltime_span *span, void *found)
{
    (void)event;
    (void)span;
    ++*(long *)found;
}

int main(int argc, char **argv)
{
    char head[32];
    long found = 0;
    if (argc != 4)
        return 64;
    FILE *objects = fopen(argv[1], "rb");
    if (!objects)
        return 66;
    const icaltimezone *utc = icaltimezone_get_utc_timezone();
    struct icaltimetype start = icaltime_from_timet_with_zone(atoll(argv[2]), 0, utc);
    struct icaltimetype end = icaltime_from_timet_with_zone(atoll(argv[3]), 0, utc);
    while (fgets(head, sizeof head, objects)) {
        size_t length = strtoul(head, NULL, 10);
        char *text = malloc(length + 1);
        if (!text || fread(text, 1, length, objects) != length)
            return 65;
        text[length] = 0;
        icalcomponent *calendar = icalparser_parse_string(text);
        icalcomponent *event = calendar ? icalcomponent_get_first_component(calendar, ICAL_VEVENT_COMPONENT) : NULL;
        for (; event; event = icalcomponent_get_next_component(calendar, ICAL_VEVENT_COMPONENT))
            icalcomponent_foreach_recurrence(event, start, end, count_one, &found);
        if (calendar)
            icalcomponent_free(calendar);
        free(text);
    }
    printf("%ld\n", found);
    return 0;
}
