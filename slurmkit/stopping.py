"""Whether this process is to stop: the runner's signal handlers write it, `JobContext.should_stop` reads it. Imports nothing."""

told = False
"""The warning signal or SIGTERM has come."""

asked = False
"""The function asks for itself, and is not interrupted."""
