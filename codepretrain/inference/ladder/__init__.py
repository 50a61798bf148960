"""What small models say about larger ones: scaling laws, rankings, mixtures.

Arrays in, estimates out. A run is one trained model, an arm one recipe at one size; losses are in
any unit that stays the same over all runs (nats per token, bits per byte).
Letters in shapes: R runs, V inputs of a law (such as parameters and tokens), A arms, J sources of a
mixture, O domains whose loss is measured.
"""
