package main

import "testing"

func TestMedianIsByMetric(t *testing.T) {
	m := median([]sample{{cpuOp: 1, p50: 9}, {cpuOp: 3, p50: 7}, {cpuOp: 2, p50: 100}, {cpuOp: 10, p50: 1}})
	if m[cpuOp] != 2.5 || m[p50] != 8 {
		t.Errorf("median is %v", m)
	}
}

func TestQuantile(t *testing.T) {
	sorted := []int{1, 2, 3, 4}
	if a, b := quantile(sorted, 0.5), quantile(sorted, 1); a != 3 || b != 4 {
		t.Errorf("quantiles are %d and %d", a, b)
	}
}
