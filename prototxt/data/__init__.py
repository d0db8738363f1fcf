"""What data layers read: LMDBs, datums, images, lists."""
