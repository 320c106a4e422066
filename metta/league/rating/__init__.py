"""What the results of matches say about policies: a pure function of them, so that anyone can compute it again."""
