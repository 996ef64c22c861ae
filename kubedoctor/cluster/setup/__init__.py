"""What a machine has to have for a node, what of it is missing here, and the commands that bring it."""
