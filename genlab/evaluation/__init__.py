"""What a trained family is worth: its abilities asked for, its samples judged. Imports no torch here."""

NETS = ("auto", "classifier", "inception", "none")  # words for the feature net that judges images
