//go:build !linux

package main

// dieWithParent needs /proc; elsewhere the Rust side's kill on drop has to do.
func dieWithParent() {}
