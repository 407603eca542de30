"""Who waits how long for an engine under which rule: a discrete-event simulation."""
