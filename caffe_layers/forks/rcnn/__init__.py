"""Detection by regions: Fast and Faster R-CNN, and R-FCN."""
