"""The environments as other libraries see them; each view needs only its library and the game."""
