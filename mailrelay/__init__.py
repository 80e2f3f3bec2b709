"""The mail relay: one room a step of a message's way, each importing only what lies further along it."""
