"""Eight bits: which nodes compute in them, of which ranges, and how exact that is."""
