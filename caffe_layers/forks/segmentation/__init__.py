"""The layers of segmentation networks: DeepLab, PSPNet, SegNet, ENet."""
