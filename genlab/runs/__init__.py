"""What a run leaves on the disk: its folder, its curves, its status, and how all that is read back."""
