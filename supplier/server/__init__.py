"""The relay server: admission, the turn at the engine, the exchange, the signed answer."""
