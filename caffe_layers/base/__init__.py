"""What a layer is: the contract, the registry, fillers and checks."""
