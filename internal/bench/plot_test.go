package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

func TestAPlotIsWellFormedAndHasItsPoints(t *testing.T) {
	c := &chart{file: "f", title: "a < b", x: "x & x", y: "y"}
	for _, p := range []point{{1, 3}, {100, 30}, {10_000, 0}} {
		c.add("rollcall, join", p.x, p.y)
		c.add("other", p.x, 2*p.y)
	}
	var b strings.Builder
	if err := c.svg(&b); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(b.String()))
	circles := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
			circles++
		}
	}
	if circles != 4 { // a zero has no place on a logarithmic axis
		t.Errorf("%d points are drawn, want 4", circles)
	}
}

func TestAnAxisPutsPowersOfTenAtEqualSteps(t *testing.T) {
	a := newAxis([]float64{1, 1000}, 0, 300)
	for v, want := range map[float64]float64{1: 0, 10: 100, 100: 200, 1000: 300} {
		if got := a.at(v); got < want-1e-6 || got > want+1e-6 {
			t.Errorf("%v is at %v, want %v", v, got, want)
		}
	}
}
