"""What is wrong with a connection, shown to whoever asks and told once to the log; and that it is over."""

import logging

from busyd.advice.diagnosis import Surroundings, diagnose
from busyd.advice.trouble import describe_trouble
from busyd.errors import BusydError
from busyd.remote.errors import NotAppSpecific
from busyd.sync.context import PollContext

logger = logging.getLogger(__name__)


def begin_trouble(context: PollContext, error: BusydError, *, locked_out: bool) -> None:
    """Note why a connection cannot be polled."""
    state, now = context.connection_state, context.clock.now()
    state.has_other_password = isinstance(error, NotAppSpecific)
    trouble = describe_trouble(state.connection, error, locked_out=locked_out, worked_before=state.listed)
    seen = Surroundings(now, worked_before=state.listed)
    context.state.storage.note(error, now=now)
    state.trouble_code = diagnose(error, state.connection, seen=seen).code
    if trouble != state.trouble:
        about = {"connection": context.name, "code": state.trouble_code}
        logger.warning("%s: %s [%s]", context.name, trouble, state.trouble_code, extra=about)
    state.trouble, state.trouble_since = trouble, state.trouble_since or now
    context.state.publish(connections=(context.name,))


def end_trouble(context: PollContext) -> None:
    """Note that it can be polled again."""
    state = context.connection_state
    if state.trouble:
        logger.info("%s: reachable again", context.name, extra={"connection": context.name})
        state.trouble, state.trouble_code, state.trouble_since = "", "", None
        context.state.publish(connections=(context.name,))
