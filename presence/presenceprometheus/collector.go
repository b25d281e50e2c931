package presenceprometheus

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-go/rollcall/presence"
)

// Source provides the numbers of a node. *presence.Tracker implements it.
type Source interface {
	Stats() presence.Stats
}

// NewCollector returns a Collector of a node's numbers, which it reads at each scrape.
// It is safe for concurrent use. To tell apart two nodes in one process, give each a
// label, see prometheus.WrapRegistererWith.
func NewCollector(s Source) prometheus.Collector { return collector{s} }

type collector struct{ source Source }

// metric is one number of Stats.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(presence.Stats) float64
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("rollcall_"+name, help, labels, nil)
}

func gauge[N int | float64](name, help string, read func(presence.Stats) N) metric {
	return metric{describe(name, help), prometheus.GaugeValue, func(s presence.Stats) float64 { return float64(read(s)) }}
}

func counter(name, help string, read func(presence.Stats) uint64) metric {
	return metric{describe(name, help), prometheus.CounterValue, func(s presence.Stats) float64 { return float64(read(s)) }}
}

// simple are the metrics without labels.
var simple = []metric{
	gauge("connections", "Open channels of this node.",
		func(s presence.Stats) int { return s.Layer.Channels }),
	gauge("rooms", "Rooms in which this node has presences.",
		func(s presence.Stats) int { return s.Rooms }),
	gauge("presences", "Presences of this node's channels.",
		func(s presence.Stats) int { return s.Presences }),
	gauge("views", "Rooms that this node watches, and watchers of counts.",
		func(s presence.Stats) int { return s.Views }),
	gauge("ready", "1 if all shards serve this node, else 0.", func(s presence.Stats) int {
		if s.Health.State == presence.Ready {
			return 1
		}
		return 0
	}),
	gauge("shards_away", "Shards that do not serve this node.",
		func(s presence.Stats) int { return len(s.Health.Shards) }),
	gauge("lease_age_seconds", "Time since the lease was signed, in the shard where that is longest.",
		func(s presence.Stats) float64 { return s.LeaseAge.Seconds() }),
	gauge("prune_lag_seconds", "Time since this node last swept, in the shard where that is longest. 0 if it never did.",
		func(s presence.Stats) float64 { return s.PruneLag.Seconds() }),

	counter("joins_total", "Presences that this node added.",
		func(s presence.Stats) uint64 { return s.Joins }),
	counter("updates_total", "Infos that this node changed.",
		func(s presence.Stats) uint64 { return s.Updates }),
	counter("restored_total", "Presences that this node put back, as Redis had lost them or it was taken for dead.",
		func(s presence.Stats) uint64 { return s.Restored }),
	counter("evictions_total", "Presences of this node's channels that were pruned or replaced.",
		func(s presence.Stats) uint64 { return s.Evictions }),
	counter("touches_total", "Touches written: one per channel, shard and flush.",
		func(s presence.Stats) uint64 { return s.Touches }),
	counter("flushes_total", "Calls that wrote touches.",
		func(s presence.Stats) uint64 { return s.Flushes }),
	counter("flush_errors_total", "Calls that could not write touches, which wait for the next one.",
		func(s presence.Stats) uint64 { return s.FlushErrors }),
	counter("sends_total", "Messages sent to channels and groups.",
		func(s presence.Stats) uint64 { return s.Layer.Sent }),
	counter("deliveries_total", "Messages that mailboxes of this node have taken.",
		func(s presence.Stats) uint64 { return s.Layer.Delivered }),
	counter("resyncs_total", "Times that a view had to read its room again.",
		func(s presence.Stats) uint64 { return s.Resyncs }),
	counter("bus_gaps_total", "Topics on which messages may have been missed, once for each lost connection.",
		func(s presence.Stats) uint64 { return s.Layer.Gaps }),
	counter("registrations_total", "Times that this node was forgotten and registered again.",
		func(s presence.Stats) uint64 { return s.Registered }),
	counter("merged_changes_total", "Calls of the change handler that became part of a bulk change.",
		func(s presence.Stats) uint64 { return s.Merged }),
	counter("handler_panics_total", "Panics of handlers.",
		func(s presence.Stats) uint64 { return s.HandlerPanics }),
	counter("sweeps_total", "Shards that this node has swept.",
		func(s presence.Stats) uint64 { return s.Sweeps }),
}

var (
	leaves      = describe("leaves_total", "Presences that this node removed or pruned.", "reason")
	drops       = describe("drops_total", "Messages and frames that were dropped.", "cause")
	redisErrors = describe("redis_errors_total", "Scripts and sends that failed.", "kind")
	scripts     = describe("script_duration_seconds", "How long this node has waited for scripts.", "script")
)

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range simple {
		out <- m.desc
	}
	for _, d := range []*prometheus.Desc{leaves, drops, redisErrors, scripts} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.source.Stats()
	for _, m := range simple {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.read(s))
	}
	count := func(d *prometheus.Desc, label string, n uint64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), label)
	}
	for reason, n := range s.Leaves {
		count(leaves, reason.String(), n)
	}
	count(drops, "mailbox full", s.Layer.Overflowed)
	count(drops, "unknown channel", s.Layer.UnknownChannel)
	count(drops, "malformed", s.Layer.Malformed)
	count(drops, "unopened", s.Layer.Unopened)
	count(drops, "too many requests", s.Layer.Refused)
	for kind, n := range s.RedisErrors {
		count(redisErrors, kind, n)
	}
	for script, t := range s.Scripts {
		buckets := make(map[float64]uint64, len(t.Buckets))
		for _, b := range t.Buckets {
			buckets[b.Within.Seconds()] = b.Calls
		}
		out <- prometheus.MustNewConstHistogram(scripts, t.Calls, t.Total.Seconds(), buckets, script)
	}
}
