// A goroutine's own stack, refused a file: stack-go PATH
package main

import "os"

//go:noinline
func readConfig(path string) error {
	_, err := os.ReadFile(path) // LINE readConfig
	return err
}

//go:noinline
func start(path string) error {
	err := readConfig(path)
	return err
}

func main() {
	done := make(chan bool)
	go func() {
		_ = start(os.Args[1])
		_, _ = os.Stat(os.Args[1])
		done <- true
	}()
	<-done
}
