package main

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/rollcall-go/rollcall/presence/presenceprometheus"
)

// metrics serves the numbers of this node to Prometheus.
func (n *node) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	number := prometheus.Labels{"node": strconv.Itoa(n.config.Number)}
	prometheus.WrapRegistererWith(number, registry).MustRegister(presenceprometheus.NewCollector(n.tracker))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}
