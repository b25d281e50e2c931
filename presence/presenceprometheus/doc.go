// Package presenceprometheus exports a node's numbers to Prometheus. Only programs that
// import it compile the Prometheus client.
//
//	prometheus.MustRegister(presenceprometheus.NewCollector(tracker))
//	http.Handle("/metrics", promhttp.Handler())
//
// Names begin with rollcall_; docs/observability.md lists them, with suggested alerts.
// What a node did is counted on that node alone, so sums over a fleet count everything
// once:
//
//	sum(rollcall_presences)
//	sum by (reason) (rate(rollcall_leaves_total[5m]))
//	histogram_quantile(0.99, sum by (le, script) (rate(rollcall_script_duration_seconds_bucket[5m])))
package presenceprometheus
