"""The endpoints whose bodies are OpenAI's; a tail's is read by the edge plane."""

from gateway.api.openai import Endpoint

OPENAI = (Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.EMBEDDINGS)
