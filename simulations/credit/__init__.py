"""What a supplier or a gateway can lose to the other, whatever the other does and when."""
