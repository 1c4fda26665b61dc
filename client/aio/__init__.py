"""The client for asyncio and trio: the same calls and answers as `client.sync`, awaited."""
