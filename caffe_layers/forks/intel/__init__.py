"""What Intel's compiler makes of layers."""
