package prune

import "time"

// SetPatience says for how long a Checker waits for what is about to become right.
func SetPatience(c *Checker, d time.Duration) { c.patience = d }
