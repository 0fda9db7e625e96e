// An HTTP server and 400 concurrent clients in one process.
package main

import (
	"crypto/md5"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d %x", r.URL.Path, len(body), md5.Sum(body))
	})
	go http.Serve(listener, nil)
	answers := make([]string, 400)
	var group sync.WaitGroup
	limit := make(chan bool, 40)
	for i := range answers {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			limit <- true
			defer func() { <-limit }()
			response, err := http.Post(fmt.Sprintf("http://%s/%d", listener.Addr(), i), "text/plain", strings.NewReader(strings.Repeat("x", i*100)))
			if err != nil {
				panic(err)
			}
			defer response.Body.Close()
			text, _ := io.ReadAll(response.Body)
			answers[i] = string(text)
		}(i)
	}
	group.Wait()
	fmt.Printf("%d %x\n", len(answers), md5.Sum([]byte(strings.Join(answers, ","))))
	_, err = net.Dial("tcp", "127.0.0.1:1")
	fmt.Println(err)
}
