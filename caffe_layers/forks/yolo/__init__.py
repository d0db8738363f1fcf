"""Detection in one pass over a grid: YOLO."""
