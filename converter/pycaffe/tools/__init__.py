"""What `caffe` has beside the engine: images, definitions, classifiers, pictures."""
