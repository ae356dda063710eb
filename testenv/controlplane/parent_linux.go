package main

import (
	"os"
	"strconv"
	"time"
)

// dieWithParent ends this process when the process named in SLUICE_TESTENV_PARENT is gone, even by
// SIGKILL. PR_SET_PDEATHSIG would tie us to the thread that started us, which a test runtime
// ends at will; watching the process is what we mean.
func dieWithParent() {
	parent, err := strconv.Atoi(os.Getenv("SLUICE_TESTENV_PARENT"))
	if err != nil || parent <= 1 {
		return
	}
	start := startTime(parent)
	if start == "" {
		os.Exit(1)
	}
	go func() {
		for range time.Tick(200 * time.Millisecond) {
			if startTime(parent) != start {
				os.Exit(1)
			}
		}
	}()
}
