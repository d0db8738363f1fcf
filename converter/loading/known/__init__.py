"""What is known of a network of which not all is: its layers, the shapes to ask for."""
