package main

import "time"

// setClockAhead moves the wall clock, and with it nothing of the monotonic one, as
// Lambda's freezing does. The time package has the variable by the same overlay.
func setClockAhead(seconds int64) { time.ChaosAhead.Store(seconds) }
