"""The loaded network: its steps, its layers, its shapes, its parameters."""
