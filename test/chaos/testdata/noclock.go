package main

// setClockAhead does nothing: this is the build with Go's own time package.
func setClockAhead(int64) {}
