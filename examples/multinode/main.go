package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// settings are the choices of the command line.
type settings struct {
	nodes  int
	port   int
	redis  string
	maxAge time.Duration
	bots   int
}

func main() {
	// Ctrl-C in a terminal reaches every process of the group. Each stops in an orderly
	// way; a second one stops at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)

	var err error
	if os.Getenv(nodeVariable) != "" {
		err = runNode(ctx, os.Stdin, os.Stdout)
	} else {
		var set settings
		if set, err = parseFlags(os.Args[1:]); err == nil {
			err = supervise(ctx, set, os.Stdout)
		}
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2) // the flag package has printed the reason
	case err != nil:
		fmt.Fprintf(os.Stderr, "multinode: %v\n", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

func parseFlags(args []string) (settings, error) {
	var set settings
	flags := flag.NewFlagSet("multinode", flag.ContinueOnError)
	flags.IntVar(&set.nodes, "nodes", 3, "how many nodes, each a process")
	flags.IntVar(&set.port, "port", 8081, "the first node's port; the others follow")
	flags.StringVar(&set.redis, "redis", "",
		"`URL` of a Redis, or the addresses of a cluster, separated by commas;\nwithout it $REDIS_URL, and without that one is embedded")
	flags.DurationVar(&set.maxAge, "max-age", time.Minute, "how long a visitor without a sign of life stays in the lists")
	flags.IntVar(&set.bots, "bots", 6, "simulated visitors, 0 for none")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return settings{}, err
	} else if err != nil {
		return settings{}, errUsage
	}
	if set.redis == "" {
		set.redis = os.Getenv("REDIS_URL") // not the flag's default: -help would show its password
	}
	switch {
	case flags.NArg() > 0:
		return settings{}, fmt.Errorf("unexpected argument %q: everything is a flag, see -help", flags.Arg(0))
	case set.nodes < 1 || set.nodes > 64:
		return settings{}, fmt.Errorf("-nodes %d: between 1 and 64, please", set.nodes)
	case set.port < 1 || set.port+set.nodes-1 > 65535:
		return settings{}, fmt.Errorf("-port %d: %d nodes need ports between 1 and 65535", set.port, set.nodes)
	case set.maxAge < time.Second:
		return settings{}, fmt.Errorf("-max-age %v: at least 1s, please", set.maxAge)
	case set.bots < 0 || set.bots > 1000:
		return settings{}, fmt.Errorf("-bots %d: between 0 and 1000, please", set.bots)
	}
	return set, nil
}
