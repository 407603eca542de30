"""A strategic supplier and a strategic buyer in a running market of auctioned services."""
