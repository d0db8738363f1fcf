"""Pictures: networks as SVG, predictions over photos."""
