"""The client for programs that wait: calls in, answers out, on the caller's own thread."""
