"""Edge inference of four known networks: where plans cut them, and what auctions earn from them."""
