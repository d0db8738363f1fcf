"""The layers that small repositories added for networks on phones."""
