"""A strategic supplier and a strategic buyer in epoch auctions, against a bound stated before."""
