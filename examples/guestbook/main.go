// Command guestbook is the example application: a page that greets, counts visitors and says which Pod answered. Its words
// come from a ConfigMap, its signature from a Secret.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"sync/atomic"
)

func main() {
	var visitors atomic.Int64
	host, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s, visitor %d. This is %s. (signed %s)\n", os.Getenv("GREETING"), visitors.Add(1), host, os.Getenv("SIGNATURE"))
	})
	log.Fatal(http.ListenAndServe(":8080", nil))
}
