"""The nets by name, for who only wants to know what there is: importing them takes seconds."""

ALIASES = {"fast": "tutorial"}
# Name: class and what it is. The registry holds the classes themselves.
DESCRIPTIONS = {
    "tutorial": ("metta.policy.nets.tutorial.TutorialNet", "The CNN + LSTM net of the tutorials; also `fast`."),
    "lstm": ("metta.policy.nets.lstm.LstmNet", "Small: two linear layers over the raw tokens, then an LSTM."),
    "mlp": ("metta.policy.nets.mlp.MlpNet", "For observations that are plain numbers; an LSTM with `memory`."),
}
