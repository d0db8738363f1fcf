"""The layers of SSD, of what chuanqi305 added to it, and of RefineDet."""
