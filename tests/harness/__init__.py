"""What the tests start and steer: private servers, gateway processes, a sandbox."""
