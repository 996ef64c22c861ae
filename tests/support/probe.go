// A client and server for pods of tests: static, and resolving names by itself.
package main

import (
	"archive/tar"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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
	case "write": // write FILE TEXT: into a file; without TEXT what comes in
		var content []byte
		var problem error
		if len(os.Args) > 3 {
			content = []byte(os.Args[3])
		} else {
			content, problem = io.ReadAll(os.Stdin)
			fail(problem)
		}
		fail(os.WriteFile(os.Args[2], content, 0o644))
	case "remove":
		fail(os.Remove(os.Args[2]))
	case "env":
		fmt.Println(os.Getenv(os.Args[2]))
	case "id":
		groups, problem := os.Getgroups()
		fail(problem)
		fmt.Println(os.Getuid(), os.Getgid(), groups)
	case "second": // second FILE: fails the first time, when there is no such file yet
		if _, problem := os.Stat(os.Args[2]); problem != nil {
			fail(os.WriteFile(os.Args[2], nil, 0o644))
			os.Exit(1)
		}
	case "hear": // hear SECONDS: says which signal came, and ends so much later
		seconds, problem := strconv.Atoi(os.Args[2])
		fail(problem)
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		fmt.Println("listening")
		fmt.Println("heard", <-signals)
		time.Sleep(time.Duration(seconds) * time.Second)
		fmt.Println("ended by itself")
	case "api": // api PATH: what the API answers to the pod's own account
		const account = "/var/run/secrets/kubernetes.io/serviceaccount/"
		token, problem := os.ReadFile(account + "token")
		fail(problem)
		authority, problem := os.ReadFile(account + "ca.crt")
		fail(problem)
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(authority)
		client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
		request, problem := http.NewRequest("GET", "https://kubernetes.default.svc"+os.Args[2], nil)
		fail(problem)
		request.Header.Set("Authorization", "Bearer "+string(token))
		answer, problem := client.Do(request)
		fail(problem)
		_, problem = io.Copy(os.Stdout, answer.Body)
		fail(problem)
	case "later": // later SECONDS ADDRESS: serves, but not yet
		seconds, problem := strconv.Atoi(os.Args[2])
		fail(problem)
		time.Sleep(time.Duration(seconds) * time.Second)
		fail(http.ListenAndServe(os.Args[3], nil))
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
		fail(http.ListenAndServe(os.Args[2], http.HandlerFunc(func(out http.ResponseWriter, asked *http.Request) {
			fmt.Println("asked for", asked.URL.Path)
			fmt.Fprintln(out, name)
		})))
	case "cf": // cf - FILE: what `kubectl cp` has tar do, to get one file
		content, problem := os.ReadFile(os.Args[3])
		fail(problem)
		archive := tar.NewWriter(os.Stdout)
		fail(archive.WriteHeader(&tar.Header{Name: strings.TrimLeft(os.Args[3], "/"), Mode: 0o644, Size: int64(len(content))}))
		_, problem = archive.Write(content)
		fail(problem)
		fail(archive.Close())
	case "-xmf": // -xmf - -C DIRECTORY: and to put one there
		archive := tar.NewReader(os.Stdin)
		header, problem := archive.Next()
		fail(problem)
		content, problem := io.ReadAll(archive)
		fail(problem)
		fail(os.WriteFile(filepath.Join(os.Args[len(os.Args)-1], header.Name), content, 0o644))
		_, problem = io.Copy(io.Discard, os.Stdin)
		fail(problem)
	case "eat": // memory, until it is killed
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
