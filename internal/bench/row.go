package main

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// table is a group of rows that have the same columns.
type table struct {
	title   string
	columns []metric
	rows    []row
}

// row is one workload, and who does it.
type row struct {
	name    string
	sides   []string
	targets []target
	quick   bool // part of the smoke run, as its claims are stable with little work
	turn    func(ctx context.Context, b *bench, side string) (sample, error)
}

// target is a figure of rollcall's to reach: a value, or a ratio to another
// side's. Zero is no bound.
type target struct {
	of      metric
	against string
	atMost  float64
	atLeast float64

	// On the machine for which the value was set, the side scaleBy had the
	// figure was in the same row: the value is scaled by what it has here.
	scaleBy string
	was     float64
}

var (
	everyone = []string{ours, peer, um, maps}
	writers  = []string{ours, two, peer, um, maps}
)

// bench is a run of the rows.
type bench struct {
	server *server
	client *redis.Client
	scale  float64
	rounds int
	most   int // presences in the plots
}
