"""Tables as they stand in files and frames: reading them, guessing what each column holds, writing samples back."""
