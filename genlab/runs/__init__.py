"""What a run writes to disk (its folder, curves and status), and how it is read back."""
