"""From files to a loaded network, and back to a caffemodel."""
