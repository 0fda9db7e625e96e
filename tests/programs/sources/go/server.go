// A small HTTP server; SIGTERM ends it with status 0.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "path %s\n", r.URL.Path) })
	go http.ListenAndServe("127.0.0.1:"+os.Args[1], nil)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	<-ended
}
