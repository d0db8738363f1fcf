"""Models of fewer bits than the network: what a file holds in them, and how it is judged."""
