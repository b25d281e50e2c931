// Package opentelemetry shows how a node's Redis calls become spans and metrics, by
// go-redis's own hooks, and how its numbers do.
package opentelemetry

import (
	"context"

	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/rollcall-go/rollcall/presence"
)

// Instrument makes a span for each command of a client, and measures its pool and the
// time of commands. The arguments of commands are left out: they hold the names of
// users.
//
// Writes of many callers share one script call, which is nobody's child: its span is a
// root. Reads are children of the span in their context.
func Instrument(client redis.UniversalClient, traces trace.TracerProvider, metrics metric.MeterProvider) error {
	err := redisotel.InstrumentTracing(client, redisotel.WithTracerProvider(traces), redisotel.WithDBStatement(false))
	if err != nil {
		return err
	}
	return redisotel.InstrumentMetrics(client, redisotel.WithMeterProvider(metrics))
}

// Observe offers some of a node's numbers, which are read when they are collected.
func Observe(tracker *presence.Tracker, metrics metric.MeterProvider) error {
	meter := metrics.Meter("github.com/rollcall-go/rollcall")
	present, err := meter.Int64ObservableUpDownCounter("rollcall.presences", metric.WithUnit("{presence}"))
	if err != nil {
		return err
	}
	left, err := meter.Int64ObservableCounter("rollcall.leaves", metric.WithUnit("{presence}"))
	if err != nil {
		return err
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := tracker.Stats()
		o.ObserveInt64(present, int64(s.Presences))
		for reason, n := range s.Leaves {
			o.ObserveInt64(left, int64(n), metric.WithAttributes(attribute.String("reason", reason.String())))
		}
		return nil
	}, present, left)
	return err
}
