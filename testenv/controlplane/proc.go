//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
)

// startTime returns the kernel's start time of a process, or "" when it is gone or a zombie, so that a
// process id that was used again is not mistaken for the one we were started by.
func startTime(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The command's name is in parentheses and may hold spaces: fields are counted after it.
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:])
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19]
}
