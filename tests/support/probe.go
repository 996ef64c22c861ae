// A client and server for pods of tests: static, and resolving names by itself.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

var version = "v0"

func fail(problem error) {
	if problem != nil {
		fmt.Fprintln(os.Stderr, problem)
		os.Exit(1)
	}
}

func main() {
	switch os.Args[1] {
	case "--version":
		fmt.Println("probe", version)
	case "wait":
		time.Sleep(time.Hour)
	case "exit":
		os.Exit(len(os.Args[2]))
	case "cat":
		content, problem := os.ReadFile(os.Args[2])
		fail(problem)
		os.Stdout.Write(content)
	case "get": // get URL: the body
		client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		answer, problem := client.Get(os.Args[2])
		fail(problem)
		_, problem = io.Copy(os.Stdout, answer.Body)
		fail(problem)
	case "lookup": // lookup NAME: its addresses
		addresses, problem := net.LookupHost(os.Args[2])
		fail(problem)
		for _, address := range addresses {
			fmt.Println(address)
		}
	case "serve": // serve ADDRESS: the host's name to whoever asks, and a line for each to its log
		name, _ := os.Hostname()
		fmt.Println("hello")
		fail(http.ListenAndServe(os.Args[2], http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(out, name)
		})))
	case "eat": // eat MIB: memory, until it is killed
		var kept [][]byte
		for {
			block := make([]byte, 1<<20)
			for at := range block {
				block[at] = 1
			}
			kept = append(kept, block)
		}
	}
}
