// A static Go program: goroutines on many threads, files, commands and signals, all by raw system calls.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
)

func check(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func main() {
	var wait sync.WaitGroup
	check(os.MkdirAll("made/by/go", 0o755))
	for i := 0; i < 64; i++ {
		wait.Add(1)
		go func(n int) {
			defer wait.Done()
			for j := 0; j < 10; j++ {
				name := fmt.Sprintf("made/f%02d-%d", n, j)
				check(os.WriteFile(name, []byte(name), 0o644))
				data, err := os.ReadFile(name)
				check(err)
				if string(data) != name {
					fmt.Println("read something else:", string(data))
				}
			}
		}(i)
	}
	wait.Wait()
	entries, err := os.ReadDir("made")
	check(err)
	fmt.Println(len(entries), entries[0].Name())

	check(os.Rename("made/f00-0", "made/by/renamed"))
	check(os.Symlink("renamed", "made/by/link"))
	check(os.Link("made/f00-1", "made/by/hard"))
	check(os.Chmod("made/f00-2", 0o600))
	check(os.Truncate("made/f00-3", 3))
	check(os.Remove("made/f00-4"))
	real, err := filepath.EvalSymlinks("made/by/link")
	check(err)
	here, err := os.Getwd()
	check(err)
	self, err := os.Executable()
	check(err)
	fmt.Println(real, here, self)
	for _, name := range []string{"absent/x", "made/f00-1/x", "/root/.ssh/id_ed25519"} {
		_, err := os.Open(name)
		fmt.Println(err != nil, name)
	}

	results := make([]string, 16)
	for i := range results {
		wait.Add(1)
		go func(n int) {
			defer wait.Done()
			out, err := exec.Command("sh", "-c", fmt.Sprintf("echo from %d; exit %d", n, n%3)).Output()
			results[n] = strings.TrimSpace(string(out)) + fmt.Sprint(" ", err)
		}(i)
	}
	wait.Wait()
	sort.Strings(results)
	fmt.Println(strings.Join(results, "\n"))

	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	check(syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	fmt.Println(<-caught)
	sleeper := exec.Command("sleep", "1000")
	check(sleeper.Start())
	check(sleeper.Process.Kill())
	fmt.Println(sleeper.Wait())
	check(filepath.Walk("made/by", func(path string, info os.FileInfo, err error) error {
		fmt.Println(path, info.Mode())
		return err
	}))
}
