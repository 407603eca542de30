"""The gateway node: an OpenAI-compatible API over many suppliers, paid by the relay."""
