"""A run is a folder: read it, and keep one there while it is made."""
