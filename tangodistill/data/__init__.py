"""From files and hub sets to texts, labels, roles and tensors."""
