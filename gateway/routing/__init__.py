"""From a request to a verified answer: sessions, members, the choice of one, and the relay."""
