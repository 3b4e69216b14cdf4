"""A static site of the executed course: readable without a kernel and without a network."""
