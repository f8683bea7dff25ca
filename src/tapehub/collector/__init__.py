"""The collector: a feed's events through the quality gate into the hub, with every quote accounted for."""
