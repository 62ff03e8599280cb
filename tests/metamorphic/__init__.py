"""What must not change when nothing but the units, the order or the size of an instance changes."""
