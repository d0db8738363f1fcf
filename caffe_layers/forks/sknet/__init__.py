"""The layers of SENet and SKNet."""
