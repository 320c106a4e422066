"""The live view in a terminal: what is drawn, on screens of any size, and the keys."""
