"""Names of what is made once: the same for the same `Idempotency-Key`, else nobody's so far."""

import secrets
from hashlib import sha256

from gateway.api.once import read_key
from node.http import Headers


def name_once(key_id: str, headers: Headers, *content: bytes) -> str:
    """32 hex digits for what an API key makes, of some content where that is part of its name.

    Raises InvalidParameterError where the idempotency key is too long.
    """
    key = read_key(headers)
    if key is None:
        return secrets.token_hex(16)
    parts = (sha256(each).digest() for each in (key_id.encode(), key, *content))
    return sha256(b"".join(parts)).hexdigest()[:32]
