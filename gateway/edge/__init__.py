"""Edge inference at the gateway: plans, the auction over those who wait, and tails as relays."""
