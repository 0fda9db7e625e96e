// Files, directories, pipes, signals and the environment through Go's own system calls.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	os.MkdirAll("a/b", 0o755)
	for i := 0; i < 30; i++ {
		os.WriteFile(fmt.Sprintf("a/f%02d", i), make([]byte, i*100), 0o644)
	}
	os.Rename("a/f00", "a/b/moved")
	os.Symlink("b/moved", "a/link")
	os.Link("a/f01", "a/hard")
	os.Chtimes("a/f02", time.Unix(1e9, 5), time.Unix(1e9, 7))
	info, _ := os.Stat("a/f02")
	fmt.Println(info.Size(), info.Mode(), info.ModTime().UnixNano())
	filepath.WalkDir("a", func(path string, d fs.DirEntry, err error) error {
		i, _ := d.Info()
		fmt.Println(path, i.Mode())
		return err
	})
	_, err := os.Open("missing")
	fmt.Println(err, errors.Is(err, fs.ErrNotExist), os.Remove("a"))
	r, w, _ := os.Pipe()
	go func() {
		for i := 0; i < 1000; i++ {
			fmt.Fprintln(w, "line", i)
		}
		w.Close()
	}()
	lines := 0
	for s := bufio.NewScanner(r); s.Scan(); lines++ {
	}
	fmt.Println(lines)
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-caught)
	m, err := syscall.Mmap(-1, 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	m[1<<19] = 7
	fmt.Println(len(m), err, syscall.Munmap(m))
	wd, _ := os.Getwd()
	exe, _ := os.Executable()
	fmt.Println(filepath.Base(wd), filepath.Base(exe), os.Getenv("LANG"), syscall.Getpagesize())
	os.Exit(9)
}
