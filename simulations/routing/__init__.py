"""The gateway's own routing policies beside each other: a discrete-event simulation."""
