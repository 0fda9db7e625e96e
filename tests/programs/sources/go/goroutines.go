// Goroutines over 100 MB of live heap, with garbage, channels, mutexes and timers.
package main

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

type node struct {
	left, right *node
	payload     [64]byte
}

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{left: tree(depth - 1), right: tree(depth - 1)}
}

func (n *node) count() int {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

func main() {
	live := make([][]byte, 0, 110)
	for i := 0; i < 110; i++ {
		b := make([]byte, 1<<20)
		for j := 0; j < len(b); j += 512 {
			b[j] = byte(i + j)
		}
		live = append(live, b)
	}
	var group sync.WaitGroup
	var nodes, made int64
	for g := 0; g < 200; g++ {
		group.Add(1)
		go func(g int) {
			defer group.Done()
			for i := 0; i < 3; i++ {
				atomic.AddInt64(&nodes, int64(tree(9+g%3).count()))
				atomic.AddInt64(&made, 1)
				runtime.Gosched()
			}
		}(g)
	}
	group.Wait()
	fmt.Println("nodes", nodes, made)
	chain := make(chan int)
	first := chain
	for i := 0; i < 10000; i++ {
		next := make(chan int)
		go func(in, out chan int) { out <- 1 + <-in }(chain, next)
		chain = next
	}
	first <- 0
	fmt.Println("chain", <-chain)
	var mutex sync.Mutex
	total := 0
	for g := 0; g < 100; g++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; i < 1000; i++ {
				mutex.Lock()
				total++
				mutex.Unlock()
			}
		}()
	}
	group.Wait()
	fmt.Println("total", total)
	ticks, tick := 0, time.NewTicker(2*time.Millisecond)
	for range tick.C {
		if ticks++; ticks == 20 {
			break
		}
	}
	done := make(chan bool)
	go func() { // never yields by itself: needs preemption by signal
		for i := uint64(1); ; i++ {
			if i%(1<<30) == 0 {
				return
			}
		}
	}()
	go func() { time.Sleep(10 * time.Millisecond); done <- true }()
	select {
	case <-done:
		fmt.Println("preempted")
	case <-time.After(20 * time.Second):
		fmt.Println("starved")
	}
	runtime.GC()
	debug.FreeOSMemory()
	hash := sha256.New()
	for _, b := range live {
		hash.Write(b)
	}
	fmt.Printf("%x\n", hash.Sum(nil))
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		var p *node
		p.payload[0] = 1
	}()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("heap over 100 MB:", stats.HeapAlloc > 100<<20, stats.NumGC > 2)
}
