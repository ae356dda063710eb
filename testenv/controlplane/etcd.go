package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

// runEtcd serves one etcd member until SIGTERM. Data is not fsynced: a test control plane
// dies with its test, and a power cut is not among the faults it is asked to survive.
func runEtcd(arguments []string) int {
	flags := flag.NewFlagSet("etcd", flag.ExitOnError)
	dataDir := flags.String("data-dir", "", "directory of the member's data")
	client := flags.String("listen-client-url", "", "URL that clients reach, e.g. http://127.0.0.1:2379")
	peer := flags.String("listen-peer-url", "", "URL that peers reach (there are none)")
	if err := flags.Parse(arguments); err != nil {
		return 2
	}
	clientURL, clientErr := url.Parse(*client)
	peerURL, peerErr := url.Parse(*peer)
	if *dataDir == "" || clientErr != nil || peerErr != nil || clientURL.Host == "" || peerURL.Host == "" {
		fmt.Fprintln(os.Stderr, "etcd: --data-dir, --listen-client-url and --listen-peer-url are required")
		return 2
	}

	config := embed.NewConfig()
	config.Dir = *dataDir
	config.UnsafeNoFsync = true
	config.ListenClientUrls = []url.URL{*clientURL}
	config.AdvertiseClientUrls = []url.URL{*clientURL}
	config.ListenPeerUrls = []url.URL{*peerURL}
	config.AdvertisePeerUrls = []url.URL{*peerURL}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.QuotaBackendBytes = 8 << 30
	config.LogLevel = "warn"
	config.LogOutputs = []string{"stderr"}

	server, err := embed.StartEtcd(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
	defer server.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-stop:
		return 0
	case err := <-server.Err():
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
}
