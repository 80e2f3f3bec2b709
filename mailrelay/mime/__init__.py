"""Pure functions over the bytes of a message: what must change before Microsoft Graph takes it."""
