"""A stand-in for Entra ID and Microsoft Graph on this machine, for trying and testing: nothing leaves it."""
