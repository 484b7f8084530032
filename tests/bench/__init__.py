"""`scripts/bench`: what busyd costs, side by side with its peers and with the machine's limit. Never a timed test."""
