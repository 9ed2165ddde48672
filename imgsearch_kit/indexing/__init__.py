"""What fills and changes an index: a folder, labels, copies, a rebuild."""
